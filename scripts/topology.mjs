/**
 * docker-compose.yml without containers: each of its services as a process on a free port, with the command, the settings, the
 * health check and the nginx.conf that stand there, in the order of `depends_on`. What the image holds is put together
 * as the Dockerfile says, in a folder of its own. Then messages go through nginx, and everything is stopped.
 *
 *   npm run topology         says what it does; exit code 1 when something is not as it should be
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { WebSocket } from 'ws';
import { parse } from 'yaml';

const run = promisify(execFile);
const HEALTH_TRIES = 100;
const HEALTH_PAUSE_MS = 100;
const STOP_MS = 10_000;
const WAIT_MS = 5000;
const COUNT = 100;
const SUBSCRIBERS = 6;
// Where Debian has nginx; not on everybody's PATH.
const PATH = `${process.env.PATH}:/usr/sbin`;

const began = performance.now();
const dir = mkdtempSync(join(tmpdir(), 'rivercast-topology-'));
const { services } = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true });
const image = readDockerfile();
/** By the name of the service. */
const ports = {};
const running = [];

function say(text) {
  console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${text}`);
}

/** What the Dockerfile copies from here, the environment it leaves, and what is run in it. */
function readDockerfile() {
  const text = readFileSync('Dockerfile', 'utf8').replaceAll(/\\\n\s*/g, ' ');
  const copies = [...text.matchAll(/^COPY (?!--from)(.+) (\S+)$/gm)].map(([, from, to]) => [
    from.split(' '),
    to,
  ]);
  const [, env = ''] = /^ENV (.*)$/m.exec(text) ?? [];
  const [, entrypoint = ''] = /^ENTRYPOINT (.*)$/m.exec(text) ?? [];
  return {
    copies,
    entrypoint: JSON.parse(entrypoint),
    env: Object.fromEntries(env.split(' ').map((pair) => pair.split('='))),
  };
}

/** The folder that would be /app, by the lines of the Dockerfile and no other files. */
async function buildImage() {
  const app = join(dir, 'app');
  mkdirSync(app);
  for (const [from, to] of image.copies) {
    for (const name of from) cpSync(name, join(app, from.length > 1 ? name : to), { recursive: true });
  }
  symlinkSync(resolve('node_modules'), join(app, 'node_modules'));
  await run('npm', ['run', '--silent', 'build'], { cwd: app });
  return app;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** With this machine's addresses in place of the names and ports that only containers have. */
function here(text, own) {
  let result = text.replace('0.0.0.0', '127.0.0.1');
  for (const [name, port] of Object.entries(ports))
    result = result.replaceAll(RegExp(`\\b${name}:\\d+`, 'g'), `127.0.0.1:${port}`);
  return result.replaceAll(/127\.0\.0\.1:(3000|80)\b/g, `127.0.0.1:${own}`);
}

function start(name, command, args, options = {}) {
  const log = openSync(join(dir, `${name}.log`), 'a');
  const child = spawn(command, args, { stdio: ['ignore', log, log], ...options });
  child.on('error', (error) => say(`${name}: ${error.message}`));
  running.unshift({ name, child });
}

function startService(name, service, app) {
  const port = ports[name];
  if (service.image.startsWith('redis')) {
    const [command, ...args] = service.command;
    return start(name, command, [...args, '--port', port, '--bind', '127.0.0.1', '--dir', dir]);
  }
  if (service.image.startsWith('nginx'))
    return start(name, 'nginx', ['-e', 'stderr', '-c', nginxConf(service, port)], { env: { PATH } });
  const settings = Object.entries({ ...image.env, ...service.environment, PORT: String(port) });
  const env = Object.fromEntries(
    settings.map(([key, value]) => [key, key === 'TRUST_PROXY' ? '127.0.0.1' : here(value, port)]),
  );
  // Its first word is node: this one, whichever is on the PATH.
  return start(name, process.execPath, image.entrypoint.slice(1), { cwd: app, env: { PATH, ...env } });
}

/** As the image of nginx has it around conf.d, but for what needs root. */
function nginxConf({ volumes }, port) {
  const [file] = volumes[0].split(':');
  const conf = here(readFileSync(file, 'utf8'), port)
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace('/var/log/nginx', dir);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(dir, name)};`,
  );
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const path = join(dir, 'nginx.conf');
  writeFileSync(
    path,
    `${user}\ndaemon off;\nworker_processes 1;\npid ${join(dir, 'nginx.pid')};\nevents {}\nhttp {\n${temporary.join('\n')}\n${conf}\n}\n`,
  );
  return path;
}

/** By its own check, as compose asks it. */
async function untilHealthy(name, { healthcheck }) {
  const [, command, ...args] = healthcheck.test.map((word) => here(word, ports[name]));
  const more = command === 'redis-cli' ? ['-p', ports[name]] : [];
  for (let tries = 1; ; tries++) {
    try {
      await run(command, [...more, ...args], { timeout: 3000 });
      return;
    } catch (error) {
      const { child } = running.find((one) => one.name === name);
      if (tries === HEALTH_TRIES || child.exitCode !== null) {
        throw new Error(
          `${name} is not healthy: ${error.message}\n${readFileSync(join(dir, `${name}.log`), 'utf8').slice(-2000)}`,
          { cause: error },
        );
      }
    }
    await delay(HEALTH_PAUSE_MS);
  }
}

async function startAll(app) {
  const healthy = {};
  const bring = async (name) => {
    const service = services[name];
    await Promise.all(
      Object.keys(service.depends_on ?? {}).map((other) => (healthy[other] ??= bring(other))),
    );
    startService(name, service, app);
    await untilHealthy(name, service);
    say(`${name} is healthy on port ${ports[name]}`);
  };
  await Promise.all(Object.keys(services).map((name) => (healthy[name] ??= bring(name))));
}

/** Everything that is published comes to every subscriber, once and in order, all through nginx. */
async function tryIt() {
  const address = `127.0.0.1:${ports.nginx}`;
  const seen = await Promise.all(Array.from({ length: SUBSCRIBERS }, () => subscribe(address)));
  const publisher = new WebSocket(`ws://${address}/ws/manager`);
  await once(publisher, 'open');
  const sent = Array.from({ length: COUNT }, (_, n) => `message ${n}`);
  for (const text of sent) publisher.send(text);
  await until('all messages came', () => seen.every(({ messages }) => messages.length >= COUNT));
  const answer = await fetch(`http://${address}/api/channels/local-q/messages`, {
    method: 'POST',
    body: 'posted',
  });
  if (answer.status !== 201) throw new Error(`a post was answered with ${answer.status}`);
  sent.push('posted');
  await until('the post came', () => seen.every(({ messages }) => messages.length > COUNT));
  for (const { messages } of seen)
    if (messages.join() !== sent.join()) throw new Error(`came otherwise: ${messages.join()}`);
  const counts = await Promise.all(
    ['broadcaster-1', 'broadcaster-2'].map(async (name) => {
      const channel = await fetch(`http://127.0.0.1:${ports[name]}/api/channels/local-q`);
      return (await channel.json()).subscribers;
    }),
  );
  if (counts.some((count) => count === 0))
    throw new Error(`the broadcasters have ${counts.join(' and ')} subscribers`);
  say(
    `${sent.length} messages through nginx to each of ${SUBSCRIBERS} subscribers (${counts.join(' and ')} at the two broadcasters)`,
  );
  publisher.close();
  for (const { socket } of seen) socket.close();
}

async function subscribe(address) {
  const socket = new WebSocket(`ws://${address}/ws/broadcast`);
  const messages = [];
  socket.addEventListener('message', ({ data }) => messages.push(data));
  await once(socket, 'open');
  return { socket, messages };
}

async function until(what, holds) {
  const deadline = performance.now() + WAIT_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${WAIT_MS} ms until ${what}`);
    await delay(5);
  }
}

/** In front first, Redis last. */
async function stopAll() {
  for (const { name, child } of running) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    const late = delay(STOP_MS, 'late', { ref: false });
    if ((await Promise.race([exit, late])) !== 'late') continue;
    say(`${name} did not stop`);
    process.exitCode = 1;
    child.kill('SIGKILL');
  }
  rmSync(dir, { recursive: true, force: true });
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    stopAll().then(
      () => process.exit(1),
      () => process.exit(1),
    );
  });
}

try {
  for (const name of Object.keys(services)) ports[name] = await freePort();
  const app = await buildImage();
  say(`built from what the Dockerfile copies: ${app}`);
  await startAll(app);
  await tryIt();
} catch (error) {
  say(error.message);
  process.exitCode = 1;
} finally {
  await stopAll();
  say('all is stopped');
}
