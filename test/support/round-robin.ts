/** A plain proxy over HTTP and WebSockets that asks each server in turn, for every request anew. */
import { once } from 'node:events';
import { type ClientRequest, createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { Duplex } from 'node:stream';

export class RoundRobin implements AsyncDisposable {
  readonly #server: Server;
  /** Whose turn it is, by path: who asks for two things by turns would else ask one server for each. */
  readonly #turns = new Map<string, number>();
  readonly #targets: readonly string[];
  readonly #tunnels = new Set<Duplex>();

  private constructor(targets: readonly string[]) {
    this.#targets = targets;
    this.#server = createServer((incoming, answer) => {
      const passed = this.#pass(incoming);
      passed.on('error', () => answer.destroy());
      passed.on('response', (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(answer);
      });
      answer.on('close', () => passed.destroy());
      incoming.pipe(passed);
    });
    this.#server.on('upgrade', (incoming, socket, head) => this.#tunnel(incoming, socket, head));
  }

  static async start(...targets: readonly string[]): Promise<RoundRobin> {
    const proxy = new RoundRobin(targets);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  #pass({ url = '/', method, headers }: IncomingMessage): ClientRequest {
    const [path = ''] = url.split('?');
    const turn = this.#turns.get(path) ?? 0;
    this.#turns.set(path, turn + 1);
    return request(new URL(url, this.#targets[turn % this.#targets.length]), { method, headers });
  }

  #tunnel(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
    const passed = this.#pass(incoming);
    this.#tunnels.add(socket.on('close', () => this.#tunnels.delete(socket)));
    socket.on('error', () => passed.destroy());
    passed.on('error', () => socket.destroy());
    passed.on('response', () => socket.destroy());
    passed.on('upgrade', ({ rawHeaders }, upstream, first) => {
      const lines = rawHeaders.flatMap((name, at) =>
        at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1] ?? ''}`] : [],
      );
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`);
      socket.write(first);
      upstream.write(head);
      upstream.on('error', () => socket.destroy()).on('close', () => socket.destroy());
      socket.on('close', () => upstream.destroy());
      socket.pipe(upstream).pipe(socket);
    });
    passed.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#tunnels) socket.destroy();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
