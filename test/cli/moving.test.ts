/** What is moved by `export` and `import`: from one kind of log to another and back, and although something breaks on the way. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Exit, runCli, startCli } from '../support/cli.ts';
import { GatedLog } from '../support/gated-log.ts';
import { fill } from '../support/history.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { tempDir } from '../support/temp-dir.ts';
import { within } from '../support/within.ts';

interface Line {
  readonly channel: string;
  readonly id: string;
  readonly data?: unknown;
  readonly data64?: string;
}

function linesOf({ code, stdout, stderr }: Exit): Line[] {
  assert.deepEqual([code, stderr], [0, '']);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

/** Texts that are awkward, binary, and JSON of every kind, none of which an import changes. */
const CONTENTS: readonly string[] = [
  '{"data":""}',
  '{"data":"line\\nend\\r\\n"}',
  '{"data":"\\u0000\\u2028 é 🚣 \\"\\\\"}',
  '{"data":"{\\"not\\":\\"json\\"}"}',
  '{"data64":""}',
  '{"data64":"/wAKDQ=="}',
  '{"data":null}',
  '{"data":[1,-0.5,1e-7,true,{"a":{"b":[]}}]}',
  '{"data":{"__proto__":1,"channel":"x","id":"1-1"}}',
  '{"data":0}',
];

describe('what is exported and imported', () => {
  test('from the embedded log to Redis and back is the same, message by message', async (t) => {
    await using redis = await RedisServer.start();
    const embedded = { STORE: 'embedded' };
    await using first = await TestServer.start({ ...embedded, DATA_DIR: await tempDir(t) });
    await using second = await TestServer.start({ STORE: 'redis', REDIS_URL: redis.url });
    await using third = await TestServer.start({ ...embedded, DATA_DIR: await tempDir(t) });
    const dir = await tempDir(t);
    const channels = ['local-q', 'a.b_c-d:1', '...'];
    for (const channel of channels) {
      const body = Array.from({ length: 50 }, () => CONTENTS.join('\n')).join('\n');
      const response = await fetch(`${first.address}/api/channels/${channel}/messages`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-ndjson' },
        body,
      });
      assert.equal(response.status, 200, await response.text());
    }
    const exported = async ({ address }: TestServer): Promise<Exit> =>
      runCli(t, { args: ['export', '--all'], env: { RIVERCAST_URL: address } });
    const move = async (all: Exit, { address }: TestServer): Promise<void> => {
      const file = join(dir, 'all.ndjson');
      await writeFile(file, all.stdout);
      const exit = await runCli(t, { args: ['import', file], env: { RIVERCAST_URL: address } });
      assert.deepEqual(exit, { code: 0, stdout: '', stderr: '' });
    };
    const contents = (lines: readonly Line[]): unknown => lines.map(({ id: _id, ...content }) => content);

    const before = await exported(first);
    await move(before, second);
    const between = await exported(second);
    await move(between, third);
    const after = await exported(third);
    const sent = channels.toSorted().flatMap((channel) =>
      Array.from({ length: 50 }, () => CONTENTS)
        .flat()
        .map((text) => ({ channel, ...(JSON.parse(text) as object) })),
    );
    for (const exit of [before, between, after]) assert.deepEqual(contents(linesOf(exit)), sent);
  });
});

describe('an export', { concurrency: 2 }, () => {
  const MANY = 60_000;

  test('whose server breaks off goes on where it was, without a hole or a duplicate', async (t) => {
    const log = new GatedLog();
    await fill(log, MANY, (n) => `${n} ${'x'.repeat(50)}`, 'c');
    await using server = await TestServer.start({}, log);
    await using proxy = await TcpProxy.start(Number(new URL(server.address).port));
    let bytes = 0;
    let cuts = 0;
    proxy.watch((direction, piece) => {
      bytes += direction === 'down' ? piece.length : 0;
      if (bytes < 1_000_000 || cuts === 3) return;
      bytes = 0;
      cuts += 1;
      proxy.cut();
    });
    const url = `http://127.0.0.1:${proxy.port}`;
    const lines = linesOf(await runCli(t, { args: ['export', 'c', '--url', url] }));
    assert.equal(cuts, 3);
    assert.deepEqual(
      lines.map(({ data }) => Number.parseInt(String(data), 10)),
      Array.from({ length: MANY }, (_, n) => n),
    );
  });

  test('that is killed is gone on with from its last whole line', async (t) => {
    const log = new GatedLog();
    await fill(log, MANY, (n) => `${n} ${'x'.repeat(50)}`, 'c');
    await using server = await TestServer.start({}, log);
    const args = ['export', 'c', '--url', server.address];
    const { child, exit } = startCli(t, { args });
    child.stdout?.once('data', () => child.kill('SIGKILL'));
    const { stdout } = await within('the end', exit);
    const whole = stdout.slice(0, stdout.lastIndexOf('\n') + 1);
    const part = linesOf({ code: 0, stdout: whole, stderr: '' });
    assert.ok(part.length > 0 && part.length < MANY / 2, `${part.length}`);
    const rest = linesOf(await runCli(t, { args: [...args, '--after', part.at(-1)?.id ?? ''] }));
    assert.deepEqual(
      [...part, ...rest].map(({ data }) => Number.parseInt(String(data), 10)),
      Array.from({ length: MANY }, (_, n) => n),
    );
  });
});
