/**
 * A server that speaks Redis' protocol and answers what a test says: for commands that the installed Redis
 * does not have, and for moments that a real one can not be brought to. It greets as Redis does; whatever
 * else it is not told about it answers with OK.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/** The bytes of a reply, or null for OK. */
export type Answer = (command: readonly string[]) => string | null | Promise<string | null>;

const HELLO = [
  'server',
  'redis',
  'version',
  '7.4.0',
  'proto',
  '2',
  'id',
  '1',
  'mode',
  'standalone',
  'role',
  'master',
];

export class ScriptedRedis implements AsyncDisposable {
  /** All that was asked after the greeting, in order: names in lower case. */
  readonly asked: (readonly string[])[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #answer: Answer;

  private constructor(server: Server, answer: Answer) {
    this.#server = server;
    this.#answer = answer;
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async start(answer: Answer): Promise<ScriptedRedis> {
    const server = createServer();
    const scripted = new ScriptedRedis(server, answer);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return scripted;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let bytes = '';
    let answered = Promise.resolve();
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      bytes += chunk;
      for (let parsed = parse(bytes); parsed !== null; parsed = parse(bytes)) {
        const { command, length } = parsed;
        bytes = bytes.slice(length);
        answered = answered.then(() => this.#reply(socket, command));
      }
    });
  }

  async #reply(socket: Socket, [name = '', ...args]: readonly string[]): Promise<void> {
    const command = [name.toLowerCase(), ...args];
    const known = greeting(command);
    if (known === null) this.asked.push(command);
    const reply = known ?? (await this.#answer(command)) ?? '+OK\r\n';
    if (!socket.destroyed) socket.write(reply, 'latin1');
  }
}

function greeting([name]: readonly string[]): string | null {
  if (name === 'client' || name === 'select') return '+OK\r\n';
  return name === 'hello' ? list(HELLO) : null;
}

/** A reply of strings and numbers. */
export function list(elements: readonly (string | number)[]): string {
  const parts = elements.map((element) =>
    typeof element === 'number' ? `:${element}\r\n` : `$${Buffer.byteLength(element)}\r\n${element}\r\n`,
  );
  return `*${elements.length}\r\n${parts.join('')}`;
}

/** The first command in the bytes; null when it has not arrived whole. */
function parse(bytes: string): { command: string[]; length: number } | null {
  const command: string[] = [];
  let at = 0;
  const number = (): number | null => {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return null;
    const value = Number(bytes.slice(at + 1, end));
    at = end + 2;
    return value;
  };
  const count = number();
  if (count === null) return null;
  for (let i = 0; i < count; i++) {
    const length = number();
    if (length === null || at + length + 2 > bytes.length) return null;
    command.push(bytes.slice(at, at + length));
    at += length + 2;
  }
  return { command, length: at };
}
