/**
 * The first minute of a new user: a fresh clone of what is committed, `make run`, and the two commands of the README until a
 * message has passed. Says how long each took; how much of that is installing depends on the registry and npm's cache.
 *
 *   node scripts/first-message.mjs        needs git, make, curl and the registry (or npm's cache)
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const PATIENCE_MS = 600_000;
const ROOT = dirname(import.meta.dirname);
const folder = mkdtempSync(join(tmpdir(), 'rivercast-clone-'));
const children = [];
const began = performance.now();

function run(command, ...args) {
  // A group of its own, so that what it started ends with it. Port 0: 3000 may be somebody's.
  const env = { ...process.env, PORT: '0' };
  const child = spawn(command, args, { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  return child;
}

/** Resolves with the first match in what it says. */
function says(child, pattern) {
  return new Promise((resolve, reject) => {
    let text = '';
    const late = () => reject(new Error(`${child.spawnargs.join(' ')} said only: ${text}`));
    setTimeout(late, PATIENCE_MS).unref();
    child.once('close', late);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes) => {
        text += bytes;
        const found = pattern.exec(text)?.[0];
        if (found !== undefined) resolve(found);
      });
    }
  });
}

function seconds() {
  return ((performance.now() - began) / 1000).toFixed(1);
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  process.kill(-child.pid, 'SIGTERM');
  await ended;
}

try {
  execFileSync('git', ['clone', '--quiet', ROOT, folder]);
  const clonedAt = seconds();
  const server = run('make', 'run');
  const serves = says(server, /http:\/\/127\.0\.0\.1:\d+/);
  await Promise.race([serves, says(server, /added \d+ packages/)]);
  const installedAt = seconds();
  const address = await serves;
  const servedAt = seconds();
  // The default is to begin with what comes; the first message may be there before this is.
  const follower = run('curl', '-sN', `${address}/sse?after=earliest`);
  const came = says(follower, /data: hello/);
  const answer = run('curl', '-s', '-d', 'hello', `${address}/api/channels/local-q/messages`);
  assert.match(await says(answer, /"duplicate":false/), /false/);
  await came;
  const steps = `cloned after ${clonedAt} s, installed after ${installedAt} s, served after ${servedAt} s`;
  console.log(`the first message passed after ${seconds()} s and 3 commands: make run, curl, curl\n${steps}`);
  console.log(`Node ${process.version}, ${availableParallelism()} cores`);
} finally {
  for (const child of children) await end(child);
  rmSync(folder, { recursive: true, force: true });
}
