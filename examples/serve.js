/**
 * Serves the pages of this folder, with the client beside them under /client/.
 *
 *   node examples/serve.js [port] [folder of the client]      http://127.0.0.1:8000/chat.html
 *
 * The pages connect to the Rivercast at http://127.0.0.1:3000, or to that of ?server=.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const PAGES = fileURLToPath(new URL('.', import.meta.url));
const [port = '8000', folder] = process.argv.slice(2);
// Where the package has it; in a checkout `make build` makes it.
const client = folder ?? fileURLToPath(new URL('.', import.meta.resolve('rivercast/client')));
const TYPES = { html: 'text/html', js: 'text/javascript' };

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  // One name, no path: nothing outside of the two folders can be asked for.
  const [, isClient, name] = /^\/(client\/)?([\w-]+\.(?:html|js))$/.exec(pathname) ?? [];
  if (name === undefined) {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(
      '<a href="chat.html">chat</a> <a href="ticker.html">ticker</a> <a href="dashboard.html">dashboard</a>',
    );
    return;
  }
  readFile(resolve(isClient ? client : PAGES, name)).then(
    (content) => {
      response.setHeader('Content-Type', `${TYPES[name.split('.').at(-1)]}; charset=utf-8`);
      response.end(content);
    },
    () => response.writeHead(404).end('not found'),
  );
});

server.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
