import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { runCli, startCli } from '../support/cli.ts';
import { tempDir } from '../support/temp-dir.ts';

const MEMORY = { STORE: 'memory', PORT: '0' };

/** A port that something else listens on until the test ends. */
async function takenPort(t: TestContext): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A subscriber that never answers anything, so that a stop has to wait for it. */
async function muteSubscriber(t: TestContext, address: string): Promise<Socket> {
  const { port, hostname } = new URL(address);
  const socket = connect(Number(port), hostname);
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  socket.write(
    `GET /ws/broadcast HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  assert.match(answer.toString('latin1'), /^HTTP\/1\.1 101 /);
  return socket;
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} stops it with exit code 0`, async (t) => {
    const cli = startCli(t, { env: MEMORY });
    await cli.line('started');
    cli.child.kill(signal);
    const { code, stdout, stderr } = await cli.exit;
    assert.equal(code, 0);
    assert.equal(stdout, '');
    assert.match(stderr, /"msg":"stopped"/);
  });
}

test('a second SIGINT ends it at once', async (t) => {
  const cli = startCli(t, { env: { ...MEMORY, DRAIN_TIMEOUT_MS: '60s' } });
  const { addresses } = await cli.line('started');
  await muteSubscriber(t, (addresses as string[])[0] as string);
  cli.child.kill('SIGINT');
  await cli.line('stopping');
  // The first repetitions may still count as the same key press.
  const again = setInterval(() => cli.child.kill('SIGINT'), 20);
  const { code } = await cli.exit;
  clearInterval(again);
  assert.equal(code, 130);
});

test('a second SIGTERM changes nothing', async (t) => {
  const cli = startCli(t, { env: { ...MEMORY, DRAIN_DELAY_SECONDS: '0.3' } });
  await cli.line('started');
  cli.child.kill('SIGTERM');
  await cli.line('stopping');
  cli.child.kill('SIGTERM');
  const { code, stderr } = await cli.exit;
  assert.equal(code, 0);
  assert.match(stderr, /"msg":"stopped"/);
});

test('the start is told in one log line, with the addresses that were given to it', async (t) => {
  const cli = startCli(t, { args: ['serve', '--port', '0,0', '--store', 'memory'] });
  const started = await cli.line('started');
  const addresses = started['addresses'] as string[];
  assert.equal(addresses.length, 2);
  assert.match(String(started['publish']), /^ws:\/\/127\.0\.0\.1:\d+\/ws\/manager$/);
  assert.equal((await fetch(`${addresses[1]}/healthz`)).status, 200);
  cli.child.kill('SIGTERM');
  assert.equal((await cli.exit).code, 0);
});

test('a relative DATA_DIR is below the folder it was started in', async (t) => {
  const cwd = await tempDir(t);
  const cli = startCli(t, { env: { PORT: '0', DATA_DIR: 'kept' }, cwd });
  assert.match(String((await cli.line('started'))['where']), new RegExp(`${cwd}/kept`));
  cli.child.kill('SIGTERM');
  assert.equal((await cli.exit).code, 0);
});

test('a taken first port: one line, exit code 1', async (t) => {
  const port = await takenPort(t);
  const result = await runCli(t, { env: { ...MEMORY, PORT: `${port},0` } });
  assert.equal(result.code, 1);
  assert.match(result.stderr, new RegExp(`^rivercast: .*${port}.*\\n$`));
});

test('a taken further port is a warning', async (t) => {
  const port = await takenPort(t);
  const cli = startCli(t, { env: { ...MEMORY, PORT: `0,${port}` } });
  const started = await cli.line('started');
  assert.equal((started['addresses'] as string[]).length, 1);
  cli.child.kill('SIGTERM');
  assert.match((await cli.exit).stderr, new RegExp(`"level":"warn".*${port}`));
});

test('a data directory that cannot be made: one line, exit code 1', async (t) => {
  const folder = await tempDir(t);
  await writeFile(join(folder, 'file'), '');
  const result = await runCli(t, { env: { PORT: '0', DATA_DIR: join(folder, 'file', 'data') } });
  assert.equal(result.code, 1);
  assert.match(result.stderr, /^rivercast: .*file\/data.*\n$/);
});

test('a data directory in use: one line, exit code 1', async (t) => {
  const env = { PORT: '0', DATA_DIR: await tempDir(t) };
  const first = startCli(t, { env });
  await first.line('started');
  const second = await runCli(t, { env });
  assert.equal(second.code, 1);
  assert.match(second.stderr, /^rivercast: .*\n$/);
  first.child.kill('SIGTERM');
  assert.equal((await first.exit).code, 0);
});

test('Redis away: the server starts and waits, and its password is in no line', async (t) => {
  const unused = await takenPort(t);
  const url = `redis://user:s3cret@127.0.0.1:${unused}`;
  const cli = startCli(t, { env: { PORT: '0', REDIS_URL: url, LOG_LEVEL: 'trace', DRAIN_TIMEOUT_MS: '1s' } });
  const { addresses } = await cli.line('started');
  assert.equal((await fetch(`${(addresses as string[])[0]}/readyz`)).status, 503);
  cli.child.kill('SIGTERM');
  const { code, stdout, stderr } = await cli.exit;
  assert.equal(code, 0);
  assert.doesNotMatch(stdout + stderr, /s3cret/);
});
