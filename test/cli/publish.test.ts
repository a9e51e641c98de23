import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAX_QUEUED, Outbox } from '../../src/cli/outbox.ts';
import { remoteOf, riverOf } from '../../src/cli/remote.ts';
import { runCli, startCli } from '../support/cli.ts';
import { GatedLog } from '../support/gated-log.ts';
import { lines, page } from '../support/history.ts';
import { ServerProcess, TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { REQUIRED } from '../support/tokens.ts';
import { until, within } from '../support/within.ts';

const path = (channel: string): string => `/api/channels/${channel}/messages`;

describe('rivercast publish', { concurrency: 3 }, () => {
  test('what is named, and what stdin brings, become messages of their kind', async (t) => {
    await using server = await TestServer.start();
    const env = { RIVERCAST_URL: server.address.replace('http', 'ws') };
    const publish = (channel: string, args: readonly string[], input?: string | Buffer): Promise<unknown> =>
      runCli(t, { args: ['publish', channel, ...args], env, ...(input === undefined ? {} : { input }) });
    const [typed, ...rest] = (await Promise.all([
      publish('typed', ['--ids', 'a b', '--', '-1']),
      publish('json', ['--json'], '{"a": 1}\n\n[2]'),
      publish('lines', [], 'one\r\n\ntwo'),
      publish('parts', ['-0'], Buffer.from('a\nb\0\xff\0', 'latin1')),
    ])) as { code: number; stdout: string; stderr: string }[];
    assert.deepEqual([typed?.code, typed?.stderr], [0, '']);
    assert.match(typed?.stdout ?? '', /^(\d+-\d+\n){2}$/);
    for (const one of rest) assert.deepEqual(one, { code: 0, stdout: '', stderr: '' });
    const held = async (channel: string): Promise<unknown> =>
      (await page(server, {}, path(channel))).messages.map(({ data, data64 }) => data ?? { data64 });
    assert.deepEqual(await held('typed'), ['a b', '-1']);
    assert.deepEqual(await held('json'), [{ a: 1 }, [2]]);
    assert.deepEqual(await held('lines'), ['one', '', 'two']);
    assert.deepEqual(await held('parts'), ['a\nb', { data64: '/w==' }]);
  });

  test('each line once and in order, although the server is killed meanwhile', async (t) => {
    const settings = { STORE: 'embedded', DATA_DIR: await tempDir(t) };
    const server = await ServerProcess.start(t, settings);
    const args = ['publish', '--ids', '--url', server.address];
    const { child, exit } = startCli(t, { args, input: { open: true } });
    const half = Array.from({ length: 5000 }, (_, n) => `${n}\n`).join('');
    child.stdin?.write(half);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    await server.end('SIGKILL');
    child.stdin?.end(half);
    await server.restart();
    const { code, stdout } = await within('the end', exit, 60_000);
    assert.equal(code, 0);
    const held = (await lines(server, { after: 'earliest', limit: 100_000 })).filter((line) => 'id' in line);
    assert.deepEqual(held.map(({ data }) => `${String(data)}\n`).join(''), half + half);
    assert.deepEqual(
      stdout.trimEnd().split('\n'),
      held.map(({ id }) => id),
    );
  });

  test('Ctrl-C ends the reading, and what was read is stored', async (t) => {
    await using server = await TestServer.start();
    const args = ['publish', '--ids', '--url', server.address];
    const { child, exit } = startCli(t, { args, input: { open: true } });
    child.stdin?.write('one\ntwo\nhal');
    await within('ids', new Promise((resolve) => child.stdout?.once('data', resolve)));
    child.kill('SIGINT');
    const { code, stdout } = await within('the end', exit);
    assert.equal(code, 130);
    assert.equal(stdout.split('\n').length, 3);
    assert.equal((await page(server)).messages.length, 2);
  });

  test('what can not be stored is named, and the exit code says so', async (t) => {
    await using server = await TestServer.start({ MAX_MESSAGE_BYTES: '1kib' });
    await using locked = await TestServer.start({ ...REQUIRED });
    const long = 'x'.repeat(1025);
    const [mixed, refused, gone, late] = await Promise.all([
      runCli(t, {
        args: ['publish', 'c', '--json', '--url', server.address],
        input: `{"a":1}\n{"a":\n"${long}"\n2\n`,
      }),
      runCli(t, { args: ['publish', 'c', 'a', '--url', locked.address] }),
      runCli(t, { args: ['publish', 'c', 'a', '--url', 'http://127.0.0.1:9'] }),
      runCli(t, {
        args: ['publish', 'c', 'a', '--wait', '--timeout', '300ms', '--url', 'http://127.0.0.1:9'],
      }),
    ]);
    assert.equal(mixed.code, 1);
    assert.match(mixed.stderr, /^rivercast: line 2: no JSON.*\nrivercast: line 3: .*1024.*\n$/);
    assert.equal((await page(server, {}, path('c'))).messages.length, 2);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^rivercast: .*token.*\n$/);
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /^rivercast: no answer from http:\/\/127\.0\.0\.1:9 .*--url.*\n$/);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /^rivercast: no answer for 0.3 s: 1 message not known to be stored\n$/);
  });
});

test('while nothing is stored no more than the bound is taken in', async () => {
  const log = new GatedLog();
  await using server = await TestServer.start({}, log);
  log.hold('append');
  const river = await riverOf(remoteOf({ url: server.address }), MAX_QUEUED + 1);
  using outbox = new Outbox(river, { timeoutMs: 0 });
  let taken = 0;
  const message = { channel: 'c', data: 'x', bytes: 1, name: 'x', place: 1 };
  const all = (async () => {
    for (; taken < 3 * MAX_QUEUED; taken++) await outbox.send(message);
    await outbox.settled();
  })();
  await until('it is full', () => taken === MAX_QUEUED - 1);
  await until('the server has some', () => log.running('append') > 0);
  assert.equal(taken, MAX_QUEUED - 1);
  log.release('append');
  await within('the rest', all);
  assert.equal(outbox.stored, 3 * MAX_QUEUED);
  assert.equal((await log.bounds('c')).length, 3 * MAX_QUEUED);
  // Large ones are bounded by what they hold.
  log.hold('append');
  let large = 0;
  const more = (async () => {
    for (; large < 20; large++)
      await outbox.send({ ...message, data: 'x'.repeat(500_000), bytes: 1024 * 1024 });
    await outbox.settled();
  })();
  await until('it is full', () => large === 7);
  log.release('append');
  await within('the rest', more);
  assert.equal(outbox.stored, 3 * MAX_QUEUED + 20);
  river.close();
});
