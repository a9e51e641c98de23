/**
 * The package as its users get it: packed, installed into an empty folder, and used from there: each command, a server
 * inside of a program, the client, and its hook with the React of the repository beside it. Says how large it is, and how
 * long a cold start takes; docs/sizing.md has to say the same sizes.
 *
 *   node scripts/try-package.mjs        needs dist/ and the registry (or npm's cache)
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const READY_MS = 15_000;
const FIGURES = 'docs/sizing.md';
/** Dependencies change by themselves. */
const TOLERANCE = 0.1;
const folder = mkdtempSync(join(tmpdir(), 'rivercast-package-'));
const bin = join(folder, 'node_modules', '.bin', 'rivercast');
const run = (command, ...args) => execFileSync(command, args, { cwd: folder, encoding: 'utf8' });

/** In the folder, a module: what its users would write. */
const PROGRAM = `
import assert from 'node:assert/strict';
import http from 'node:http';
import { createServer } from 'rivercast';
import { connect } from 'rivercast/client';
import { WebSocket } from 'ws';

const river = await createServer({ store: 'memory', drainSeconds: 0 });
const server = http.createServer((request, response) => response.end('mine'));
river.attach(server, { prefix: '/live' });
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const client = connect('http://127.0.0.1:' + server.address().port + '/live', { WebSocket });
const id = await client.publish('scores', { home: 1 });
for await (const message of client.subscribe('scores', { after: 'earliest' })) {
  assert.deepEqual([message.id, message.data], [id, { home: 1 }]);
  break;
}
client.close();
await river.close();
server.close();
console.log('over');
`;

/** The same with React, which renders what it has before anything came. */
const COMPONENT = `
import assert from 'node:assert/strict';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { connect } from 'rivercast/client';
import { useChannel } from 'rivercast/react';

const river = connect('http://127.0.0.1:1');
function Scores() {
  const { messages, last, state, error, gap } = useChannel(river, 'scores', { after: 'last:10' });
  return createElement('p', null, JSON.stringify({ messages, last, state, error, gap }).replaceAll('"', ''));
}
assert.equal(
  renderToString(createElement(Scores)),
  '<p>{messages:[],last:null,state:connecting,error:null,gap:null}</p>',
);
console.log('over');
`;

/** From the start of the command until the first message that somebody published has come. */
async function coldStart() {
  const began = performance.now();
  return serving(async (address) => {
    const listensMs = performance.now() - began;
    const events = await fetch(`${address}/sse`);
    const stored = await fetch(`${address}/api/channels/local-q/messages`, { method: 'POST', body: 'first' });
    assert.equal(stored.status, 201);
    let text = '';
    for await (const bytes of events.body) {
      text += Buffer.from(bytes).toString();
      if (text.includes('data: first')) break;
    }
    return { listensMs, firstMs: performance.now() - began };
  });
}

/** A server that is started by the command, for as long as `use` takes. */
async function serving(use) {
  const env = { ...process.env, PORT: '0', STORE: 'memory', LOG_LEVEL: 'info', DRAIN_SECONDS: '0' };
  const child = spawn(bin, ['serve'], { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    return await use(await addressOf(child));
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
}

/** The commands that talk to a server. */
function tryCommands(address) {
  const rivercast = (args, input = '') =>
    execFileSync(bin, args, {
      cwd: folder,
      encoding: 'utf8',
      input,
      env: { ...process.env, RIVERCAST_URL: address },
    });
  const id = /^\d+-\d+\n$/;
  assert.match(rivercast(['publish', 'scores', 'hello', '--ids']), id);
  assert.match(rivercast(['publish', 'scores', '--json', '--ids', '{"home":1}']), id);
  rivercast(['publish', 'scores'], 'from\nstdin\n');
  const all = 'hello\n{"home":1}\nfrom\nstdin\n';
  assert.equal(rivercast(['tail', 'scores', '--after', 'earliest', '--count', '4']), all);
  const exported = rivercast(['export', 'scores']);
  assert.equal(exported.trim().split('\n').length, 4);
  writeFileSync(join(folder, 'scores.ndjson'), exported);
  rivercast(['import', '--channel', 'copy', 'scores.ndjson']);
  assert.equal(rivercast(['tail', 'copy', '--after', 'earliest', '--count', '4']), all);
  rivercast(['trim', 'copy', '--before', 'last:1']);
  assert.match(rivercast(['info', 'copy', '--json']), /"length":1\b/);
  const channels = rivercast(['channels', '--json']).trim().split('\n');
  assert.deepEqual(
    channels.map((line) => JSON.parse(line).channel),
    ['copy', 'scores'],
  );
}

/** Those that need none. */
function tryTools() {
  const env = { ...process.env, PORT: '0', AUTH_HS256_SECRET: 'a secret of at least thirty-two bytes' };
  const rivercast = (...args) => execFileSync(bin, args, { cwd: folder, encoding: 'utf8', env });
  assert.match(rivercast('token', '--publish', 'scores'), /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  assert.match(rivercast('api-key', 'backend', '--publish', 'scores', '--file', 'keys.json'), /rck_/);
  assert.match(rivercast('completion', 'bash'), /rivercast/);
  rivercast('bench', '--time', '100ms', '--subscribers', '2');
  // Whether something is in the way is a matter of the machine.
  const { status, stdout } = spawnSync(bin, ['doctor', '--json'], { cwd: folder, encoding: 'utf8', env });
  assert.ok(status === 0 || status === 1, `doctor ended with ${status}`);
  const findings = stdout.trim().split('\n');
  assert.ok(findings.map((line) => JSON.parse(line)).length > 5);
}

/** The number before `words` in the document has to be about `size`. */
function checkFigure(words, size) {
  const told = Number(new RegExp(`([\\d.]+) ${words}`).exec(readFileSync(FIGURES, 'utf8'))?.[1]);
  assert.ok(Math.abs(told - size) <= size * TOLERANCE, `${FIGURES}: ${told} ${words}; it is ${size}`);
}

function addressOf(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    setTimeout(() => reject(new Error(`not started in time: ${text}`)), READY_MS).unref();
    child.once('exit', (code) => reject(new Error(`ended with ${code}: ${text}`)));
    child.stderr.on('data', (bytes) => {
      text += bytes;
      const address = /http:\/\/127\.0\.0\.1:\d+/.exec(text)?.[0];
      if (address !== undefined) resolve(address);
    });
  });
}

try {
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
      encoding: 'utf8',
    }),
  );
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}');
  run('npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', '--silent', `./${packed.filename}`);
  const packages = run('npm', 'ls', '--all', '--parseable').trim().split('\n').length - 2;
  const kib = Number(run('du', '-sk', 'node_modules').split('\t')[0]);
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  assert.equal(run(bin, '--version').trim(), version);
  writeFileSync(join(folder, 'program.js'), PROGRAM);
  assert.match(run('node', 'program.js'), /over/);
  const { listensMs, firstMs } = await coldStart();
  console.log(
    [
      `packed ${Math.round(packed.size / 1024)} KiB, ${packed.entryCount} files`,
      `installed ${(kib / 1024).toFixed(1)} MiB with ${packages} packages below it`,
      `rivercast serve listens after ${Math.round(listensMs)} ms; the first message passed after ${Math.round(firstMs)} ms`,
    ].join('\n'),
  );
  checkFigure('KiB packed', packed.size / 1024);
  checkFigure('MiB, ', kib / 1024);
  checkFigure('packages below it', packages);
  await serving(tryCommands);
  tryTools();
  // Beside it, as in an application; nothing is fetched for it.
  for (const name of ['react', 'react-dom'])
    cpSync(join('node_modules', name), join(folder, 'node_modules', name), {
      recursive: true,
      dereference: true,
    });
  writeFileSync(join(folder, 'component.js'), COMPONENT);
  assert.match(run('node', 'component.js'), /over/);
  console.log('each command and the hook for React work');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
