/**
 * Requests that are none, or not whole in time: what is said of them, and that their connections end. Requests in
 * front of them that came whole are still answered.
 */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { background } from '../../background.ts';
import type { Logger } from '../../logger.ts';
import { Pace } from '../../pace.ts';
import type { Refusals } from '../../refusals.ts';
import type { LimitName } from '../limits/limit-counter.ts';
import { securityHeaders, securityLines } from '../security-headers.ts';

const TOO_MANY_HEADERS = 431;
/** Thousands that came together are late together: so many are refused in a turn of the event loop. */
const LATE_A_TURN = 20;

/** Node's code for a request that took too long, or its headers. */
const LATE = 'ERR_HTTP_REQUEST_TIMEOUT';
/** What is wrong with the head of a request by Node's code for it. */
const OVERFLOW = 'HPE_HEADER_OVERFLOW';
const BROKEN_STATUS: Readonly<Record<string, number>> = {
  [LATE]: 408,
  [OVERFLOW]: TOO_MANY_HEADERS,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
};

/** What is not answered yet on each connection, in order. */
const answering = new WeakMap<Socket, Set<ServerResponse>>();

/** From now on `response` is owed to its connection. */
export function oweAnswer(socket: Socket, response: ServerResponse): void {
  const unanswered = answering.get(socket) ?? new Set();
  answering.set(socket, unanswered.add(response));
  response.once('close', () => {
    unanswered.delete(response);
    if (unanswered.size === 0) answering.delete(socket);
  });
}

export interface BrokenOptions {
  /** Whether the request on this connection may take longer than others. */
  readonly isStreaming: (socket: Socket) => boolean;
  /** Somebody crossed a limit. */
  readonly crossed: (limit: LimitName) => void;
  readonly refusals: Refusals;
  readonly logger: Logger;
}

/** Sees to what `server` can not read, or waits for in vain. */
export function refuseBrokenOf(
  server: Server,
  { isStreaming, crossed, refusals, logger }: BrokenOptions,
): void {
  const late = new Pace(LATE_A_TURN);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === LATE && isStreaming(socket)) return;
    if (error.code === OVERFLOW) crossed('headers');
    if (error.code !== LATE) {
      refuseBroken(error, socket, refusals);
      return;
    }
    crossed(isAnswering(socket) ? 'request_time' : 'handshake_time');
    const turn = late.step();
    const refuse = (): void => refuseBroken(error, socket, refusals);
    if (turn === null) refuse();
    else background('refusing who took too long', refuseIn(turn, refuse), logger);
  });
}

/** Whether answers are owed on it: what comes now would not be in order. */
export function isAnswering(socket: Socket): boolean {
  return answering.has(socket);
}

export function refuseHeaders(request: IncomingMessage, response: ServerResponse, refusals: Refusals): void {
  refusals.count('request', `http_${TOO_MANY_HEADERS}`);
  const headers = { ...securityHeaders(request), Connection: 'close' };
  response.writeHead(TOO_MANY_HEADERS, headers).end();
}

/** Of a request that is none: counted, for it is going to be sent. */
function refusal(status: number, socket: Socket, refusals: Refusals): string {
  refusals.count('request', `http_${status}`);
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, 'Connection: close', ...securityLines(socket)];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Refuses an upgrade with too many headers. */
export function refuseUpgradeHeaders(socket: Socket, refusals: Refusals): void {
  socket.end(refusal(TOO_MANY_HEADERS, socket, refusals));
}

/**
 * A request that is none is answered, and that is the end. Those before it that came whole may be stored, or on
 * their way there: what is said about them is said by their own answers.
 */
function refuseBroken(error: NodeJS.ErrnoException, socket: Socket, refusals: Refusals): void {
  const unanswered = [...(answering.get(socket) ?? [])];
  const whole = unanswered.findLast(({ req }) => req.complete);
  if (!socket.writable) socket.destroy(error);
  else if (whole !== undefined) endBehind(whole, socket);
  else {
    if (unanswered[0]?.headersSent !== true) {
      const status = BROKEN_STATUS[error.code ?? ''] ?? 400;
      socket.write(refusal(status, socket, refusals));
    }
    socket.destroy(error);
  }
}

async function refuseIn(turn: Promise<void>, refuse: () => void): Promise<void> {
  await turn;
  refuse();
}

function endBehind(response: ServerResponse, socket: Socket): void {
  // Each further byte is as wrong as those before.
  if (!response.shouldKeepAlive) return;
  response.shouldKeepAlive = false;
  response.once('close', () => socket.destroySoon());
}
