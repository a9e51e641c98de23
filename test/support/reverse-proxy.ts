/**
 * nginx or HAProxy as a process of its own, with the file of `deploy` that is recommended for it: only ports, paths and
 * times are put in its place, each of which must stand there. Ends with the test.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { freePort } from './redis-server.ts';
import { socketTo } from './secure.ts';
import type { TlsFiles } from './tls-server.ts';
import { until } from './within.ts';

export interface Behind {
  readonly manager: string;
  readonly broadcasters: readonly [string, string];
  /** Below which path everything is, as docs/proxies.md has it; absent: at the root. */
  readonly path?: string;
}

export interface ReverseProxy {
  readonly address: string;
  /** Has the file read again, as its administrator would. */
  reload(): void;
  /** What it wrote to its error log. */
  readonly said: string;
}

type Start = (t: TestContext, files: TlsFiles, behind: Behind) => Promise<ReverseProxy>;

/** How long it waits for a connection that says nothing, in place of 75 s. */
const PATIENCE = '2s';

export const PROXIES: Readonly<Record<'nginx' | 'haproxy', Start>> = {
  nginx: async (t, files, behind) => {
    const port = await freePort();
    const snippet = put(await readFile('deploy/nginx/rivercast.conf', 'utf8'), [
      ['listen 443', `listen 127.0.0.1:${port}`],
      ['/etc/ssl/rivercast/fullchain.pem', files.cert],
      ['/etc/ssl/rivercast/privkey.pem', files.key],
      ['/var/log/nginx/rivercast.log', join(files.dir, 'access.log')],
      ...upstreams(behind),
      ...belowPath('nginx', behind),
      ['75s', PATIENCE],
    ]);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `  ${name}_temp_path ${join(files.dir, name)};`,
    );
    const main = [
      ...(process.getuid?.() === 0 ? ['user root;'] : []),
      'daemon off;',
      'worker_processes 1;',
      'error_log stderr notice;',
      `pid ${join(files.dir, 'nginx.pid')};`,
      'events { worker_connections 1024; }',
      'http {',
      ...temporary,
      snippet,
      '}',
    ];
    const path = join(files.dir, 'nginx.conf');
    await writeFile(path, main.join('\n'));
    return start(t, port, { command: 'nginx', args: ['-e', 'stderr', '-c', path], reload: 'SIGHUP' });
  },
  haproxy: async (t, files, behind) => {
    const port = await freePort();
    const pem = join(files.dir, 'both.pem');
    await writeFile(pem, Buffer.concat([await readFile(files.cert), await readFile(files.key)]));
    const snippet = put(await readFile('deploy/haproxy/rivercast.cfg', 'utf8'), [
      ['bind :443', `bind 127.0.0.1:${port}`],
      ['/etc/haproxy/certs/rivercast.pem', pem],
      ['maxconn 50000', 'maxconn 200'],
      ['log global', 'log stdout format raw daemon'],
      ...upstreams(behind),
      ...belowPath('haproxy', behind),
      ['75s', PATIENCE],
    ]);
    const path = join(files.dir, 'haproxy.cfg');
    await writeFile(path, snippet);
    return start(t, port, { command: 'haproxy', args: ['-W', '-db', '-f', path], reload: 'SIGUSR2' });
  },
};

interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly reload: NodeJS.Signals;
}

async function start(
  t: TestContext,
  port: number,
  { command, args, reload }: Command,
): Promise<ReverseProxy> {
  // Where Debian has them; not on everybody's PATH.
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk));
  const exit = once(child, 'exit');
  t.after(() => end(child, exit));
  const address = `https://127.0.0.1:${port}`;
  await until(`${command} listens`, () => {
    if (child.exitCode !== null) throw new Error(`${command} ended: ${said}`);
    return answers(address);
  });
  return {
    address,
    reload: () => void child.kill(reload),
    get said() {
      return said;
    },
  };
}

/** Its workers end with it. */
async function end(child: ChildProcess, exit: Promise<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await exit;
}

async function answers(address: string): Promise<boolean> {
  const { socket, opened } = socketTo(address);
  try {
    await once(socket, opened);
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function upstreams({ manager, broadcasters }: Behind): [string, string][] {
  return [
    ['127.0.0.1:3000', new URL(manager).host],
    ['127.0.0.1:3001', new URL(broadcasters[0]).host],
    ['127.0.0.1:3002', new URL(broadcasters[1]).host],
  ];
}

function belowPath(name: 'nginx' | 'haproxy', { path }: Behind): [string, string][] {
  if (path === undefined) return [];
  if (name === 'haproxy') {
    const line = '    # For operators';
    return [[line, `    http-request replace-path ^${path}(/.*) \\1\n${line}`]];
  }
  return [
    ['location ~ ^/(', `location ~ ^${path}/(`],
    ['location / {', `location ${path}/ {\n        rewrite ^${path}(/.*)$ $1 break;`],
  ];
}

function put(text: string, changes: readonly (readonly [from: string, to: string])[]): string {
  let result = text;
  for (const [from, to] of changes) {
    if (!result.includes(from)) throw new Error(`the file does not say ${from}`);
    result = result.replaceAll(from, to);
  }
  return result;
}
