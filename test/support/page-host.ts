/** A page of one's own on loopback, with the client's modules beside it as a site would serve them. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const CLIENT = new URL('../../src/client/', import.meta.url);

export class PageHost implements AsyncDisposable {
  /** What is served at `/`. */
  page = '<!doctype html>';
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<PageHost> {
    const server = createServer((request, response) => {
      const [, name] = /^\/client\/([\w-]+\.js)$/.exec(request.url ?? '') ?? [];
      if (name === undefined) {
        response.setHeader('Content-Type', 'text/html; charset=utf-8').end(host.page);
        return;
      }
      response.setHeader('Content-Type', 'text/javascript; charset=utf-8');
      readFile(new URL(name, CLIENT)).then(
        (text) => response.end(text),
        () => response.writeHead(404).end(),
      );
    });
    const host = new PageHost(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return host;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await Promise.resolve();
  }
}
