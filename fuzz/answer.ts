/**
 * What a server answered, read strictly: whole responses with a status and a body as they are documented, and behind
 * a 101 frames as RFC 6455 has them. Whatever else it says is a finding. What was cut off when the client left is
 * no finding.
 */
import { isUtf8 } from 'node:buffer';
import { publisherFrameIn, subscriberFrameIn } from '../chaos/wire.ts';
import { ERRORS, type ErrorCode } from '../src/errors.ts';
import { CLOSE as CLOSES } from '../src/protocol/close.ts';
import { parseJsonObject } from '../src/protocol/entry-json.ts';

/** `docs/protocol.md` has them; 500 and 503 are for a server that is at fault, or whose log is, and this one is well. */
const STATUSES: ReadonlySet<number> = new Set([
  200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 410, 413, 415, 417, 426, 429, 431,
]);
/** In what was sent, as a header that nobody may be made to say. */
const INJECTED = 'x-injected';

export interface Verdict {
  /** For the tally: statuses, close codes. */
  readonly said: readonly string[];
  readonly faults: readonly string[];
}

interface Reading {
  readonly bytes: Buffer;
  /** Whether there is nothing after the bytes because the server said all it had to. */
  readonly isEnded: boolean;
  readonly said: string[];
  readonly faults: string[];
}

/** `isHead`: the request may have been one for the head alone; then bodies are not looked at. */
export function judge(bytes: Buffer, isEnded: boolean, isHead: boolean): Verdict {
  const reading: Reading = { bytes, isEnded, said: [], faults: [] };
  for (let at = 0; at < bytes.length && reading.faults.length === 0; ) {
    const next = response(reading, at, isHead);
    if (next === null) break;
    at = next;
  }
  return reading;
}

/** Reads the response at `at`; returns where the next begins, or null when there is no more to be said. */
function response(reading: Reading, at: number, isHead: boolean): number | null {
  const { bytes, said, faults } = reading;
  const end = bytes.indexOf('\r\n\r\n', at);
  if (end === -1) return isCut(reading, 'a head');
  const [line, ...lines] = bytes.toString('latin1', at, end).split('\r\n') as [string, ...string[]];
  const status = Number(/^HTTP\/1\.1 (\d{3}) [\x20-\x7e]*$/.exec(line)?.[1]);
  said.push(String(status));
  const headers = headersOf(lines, faults);
  if (status === 100) return end + 4;
  if (status === 101) {
    frames(reading, end + 4, headers.get('sec-websocket-protocol') ?? null);
    return null;
  }
  if (!STATUSES.has(status)) faults.push(`the status of ${JSON.stringify(line)}`);
  if (isHead) return null;
  return status === 204 || status === 304 ? end + 4 : behindBody(reading, end + 4, status, headers);
}

function behindBody(
  reading: Reading,
  at: number,
  status: number,
  headers: ReadonlyMap<string, string>,
): number | null {
  const body = bodyAt(reading, at, headers);
  if (body === null || !body.isWhole) return null;
  look(body.bytes, status, headers.get('content-type') ?? '', reading.faults);
  return body.end;
}

function headersOf(lines: readonly string[], faults: string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)$/.exec(line) ?? [];
    if (name === undefined) faults.push(`the header ${JSON.stringify(line)}`);
    else headers.set(name.toLowerCase(), value ?? '');
  }
  if (headers.has(INJECTED)) faults.push('a header of the client came back as one');
  return headers;
}

interface Body {
  readonly bytes: Buffer;
  readonly end: number;
  readonly isWhole: boolean;
}

/** Null: there is nothing to look at, or it was cut. */
function bodyAt(reading: Reading, at: number, headers: ReadonlyMap<string, string>): Body | null {
  const { bytes, isEnded } = reading;
  if (headers.get('transfer-encoding') === 'chunked') {
    // Answers to a batch stop where the batch can not be read on.
    const mayStop = headers.get('content-type')?.startsWith('application/x-ndjson') === true;
    return chunksAt(mayStop ? { ...reading, isEnded: false } : reading, at);
  }
  const length = headers.get('content-length');
  if (length === undefined) return { bytes: bytes.subarray(at), end: bytes.length, isWhole: isEnded };
  const end = at + Number(length);
  if (end > bytes.length) return isCut(reading, 'a body');
  return { bytes: bytes.subarray(at, end), end, isWhole: true };
}

function chunksAt(reading: Reading, start: number): Body | null {
  const { bytes, faults } = reading;
  const parts: Buffer[] = [];
  for (let at = start; ; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return isCut(reading, 'chunks');
    const said = bytes.toString('latin1', at, line);
    const size = /^[0-9a-f]{1,8}$/i.test(said) ? Number.parseInt(said, 16) : -1;
    if (size === -1) {
      faults.push(`the size of a chunk: ${JSON.stringify(said)}`);
      return null;
    }
    const end = line + 2 + size;
    if (end + 2 > bytes.length) return isCut(reading, 'a chunk');
    if (bytes.toString('latin1', end, end + 2) !== '\r\n') faults.push('a chunk without an end');
    if (size === 0) return { bytes: Buffer.concat(parts), end: end + 2, isWhole: true };
    parts.push(bytes.subarray(line + 2, end));
    at = end + 2;
  }
}

function isCut({ isEnded, faults }: Reading, what: string): null {
  if (isEnded) faults.push(`the server ended the connection inside ${what}`);
  return null;
}

function look(body: Buffer, status: number, type: string, faults: string[]): void {
  if (type.startsWith('application/problem+json')) problem(body, status, faults);
  else if (status >= 400 && body.length > 0) faults.push(`${status} with a body of ${type}`);
  else if (type.startsWith('application/json') && !isJson(body.toString())) faults.push('JSON that is none');
  else if (type.startsWith('application/x-ndjson')) {
    const lines = body.toString().split('\n');
    if (lines.pop() !== '' || !lines.every(isJson)) faults.push('lines of JSON that are none');
  } else if (type.startsWith('text/event-stream')) events(body.toString(), faults);
}

function problem(body: Buffer, status: number, faults: string[]): void {
  const told = parseJsonObject(body.toString());
  const code = told?.['code'];
  const row = typeof code === 'string' && Object.hasOwn(ERRORS, code) ? ERRORS[code as ErrorCode] : null;
  if (row === null || row.http !== status || typeof told?.['detail'] !== 'string') {
    faults.push(`${status} with the problem ${body.toString().slice(0, 200)}`);
  }
}

function events(text: string, faults: string[]): void {
  const odd = text.split('\n').find((line) => !/^(|:.*|(id|event|data|retry): .*|data:)$/.test(line));
  if (odd !== undefined) faults.push(`the line ${JSON.stringify(odd.slice(0, 100))} in a stream of events`);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

interface Told {
  readonly first: number;
  readonly payload: Buffer;
  readonly end: number;
}

function frames(reading: Reading, start: number, protocol: string | null): void {
  const { bytes, faults, said } = reading;
  for (let at = start; at < bytes.length; ) {
    const told = frameAt(bytes, at);
    if (told === null) {
      isCut(reading, 'a frame');
      return;
    }
    at = told.end;
    const fault = faultOf(told, protocol === 'rivercast.v1');
    if (fault !== null)
      faults.push(`${fault}: ${told.first.toString(16)} ${told.payload.toString('latin1', 0, 100)}`);
    if ((told.first & 0x0f) !== CLOSE) continue;
    const code = told.payload.length < 2 ? 'empty' : told.payload.readUInt16BE(0);
    // Whatever else it is, it is the client's own that comes back.
    said.push(OWN_CODES.has(code) ? `close ${code}` : 'close of the client');
    if (at < bytes.length) faults.push('something behind a close');
    return;
  }
}

const FIN = 0x80;
const RSV1 = 0x40;
const OTHER_RSV = 0x30;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const OPCODES: ReadonlySet<number> = new Set([TEXT, BINARY, CLOSE, 9, 10]);
const MAX_CONTROL_BYTES = 125;
const OWN_CODES: ReadonlySet<unknown> = new Set(Object.values(CLOSES));

function frameAt(bytes: Buffer, at: number): Told | null {
  if (at + 2 > bytes.length) return null;
  const mark = bytes[at + 1] as number;
  const lengthBytes = mark === 126 ? 2 : mark === 127 ? 8 : 0;
  const payloadAt = at + 2 + lengthBytes;
  if (payloadAt > bytes.length) return null;
  const length =
    lengthBytes === 0
      ? mark
      : lengthBytes === 2
        ? bytes.readUInt16BE(at + 2)
        : Number(bytes.readBigUInt64BE(at + 2));
  const end = payloadAt + length;
  if (end > bytes.length) return null;
  return { first: bytes[at] as number, payload: bytes.subarray(payloadAt, end), end };
}

/** What is wrong with a frame; null: nothing. */
function faultOf({ first, payload }: Told, isV1: boolean): string | null {
  const opcode = first & 0x0f;
  const isCompressed = (first & RSV1) !== 0;
  const fault = headerFault(first, payload.length);
  if (fault !== null || opcode === CLOSE) return fault ?? closeFault(payload);
  if (opcode !== TEXT || isCompressed) return null;
  if (!isUtf8(payload)) return 'a text that is no UTF-8';
  return isV1 ? v1Fault(payload.toString()) : null;
}

function headerFault(first: number, length: number): string | null {
  const opcode = first & 0x0f;
  if ((first & FIN) === 0) return 'a fragment';
  if ((first & (opcode <= BINARY ? OTHER_RSV : RSV1 | OTHER_RSV)) !== 0) return 'a reserved bit';
  if (!OPCODES.has(opcode)) return 'a reserved opcode';
  return opcode > BINARY && length > MAX_CONTROL_BYTES ? 'a long control frame' : null;
}

function closeFault(payload: Buffer): string | null {
  if (payload.length === 0) return null;
  if (payload.length === 1) return 'a close with half a code';
  const code = payload.readUInt16BE(0);
  const isCode =
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
  return isCode && isUtf8(payload.subarray(2)) ? null : 'a close that may not be sent';
}

/** Answers that chaos has no use for. */
const OTHER_FRAMES: readonly unknown[] = ['unsubscribed', 'authenticated'];

function v1Fault(text: string): string | null {
  const frame = publisherFrameIn(text) ?? subscriberFrameIn(text);
  if (frame === null) {
    return OTHER_FRAMES.includes(parseJsonObject(text)?.['type']) ? null : 'no frame of v1';
  }
  if (frame.type !== 'error') return null;
  if (!Object.hasOwn(ERRORS, frame.code)) return 'an error without a row in the table';
  return ERRORS[frame.code as ErrorCode].http >= 500 ? 'a fault of the server' : null;
}
