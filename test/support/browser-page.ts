/** A page with a script of ours, bundled from the sources as an application would. `await using` ends its server. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'esbuild';

export class BrowserPage implements AsyncDisposable {
  readonly address: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  /** `script`: a module; what it imports is found from the folder of the sources. */
  static async serve(script: string): Promise<BrowserPage> {
    const text = await bundle(script);
    const html =
      '<!doctype html><meta charset="utf-8"><title>test</title><div id="root"></div><script src="/page.js"></script>';
    const server = createServer((request, response) => {
      const isScript = request.url === '/page.js';
      response.setHeader(
        'Content-Type',
        isScript ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8',
      );
      response.end(isScript ? text : html);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new BrowserPage(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await Promise.resolve();
  }
}

/** As a page would load it: one script, minified. */
export async function bundle(
  script: string,
  format: 'iife' | 'esm' = 'iife',
  loader: 'ts' | 'tsx' = 'ts',
): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: script, resolveDir: process.cwd(), loader },
    jsx: 'automatic',
    bundle: true,
    minify: true,
    write: false,
    format,
    target: 'es2022',
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}
