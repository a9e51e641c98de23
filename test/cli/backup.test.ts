import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCli } from '../support/cli.ts';
import { GatedLog } from '../support/gated-log.ts';
import { fill, page } from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';

/** More than the export asks for at once. */
const MANY = 100_500;

const path = (channel: string): string => `/api/channels/${channel}/messages`;

test('what a server holds is exported, listed, and imported elsewhere once', async (t) => {
  const log = new GatedLog();
  await using from = await TestServer.start({}, log);
  await using to = await TestServer.start();
  await fill(log, MANY, String, 'many');
  await log.append('kinds', [
    { type: 'json', data: Buffer.from('{"a":1, "b":[null]}') },
    { type: 'binary', data: Buffer.from([0xff, 0]) },
    { type: 'text', data: Buffer.from('line\nend') },
  ]);
  const env = { RIVERCAST_URL: from.address };
  const [all, listed, info, told] = await Promise.all([
    runCli(t, { args: ['export', '--all'], env }),
    runCli(t, { args: ['channels'], env }),
    runCli(t, { args: ['info', 'kinds'], env }),
    runCli(t, { args: ['channels', '--json'], env }),
  ]);
  assert.deepEqual([all.code, all.stderr], [0, '']);
  const lines = all.stdout.trimEnd().split('\n');
  assert.equal(lines.length, MANY + 3);
  const { messages, epoch } = await page(from, {}, path('kinds'));
  assert.equal(lines[0], `{"channel":"kinds","id":"${messages[0]?.id}","data":{"a":1, "b":[null]}}`);
  assert.equal(lines.at(-1)?.endsWith(`"data":"${MANY - 1}"}`), true);
  assert.match(
    listed.stdout,
    /^CHANNEL +MESSAGES +SUBSCRIBERS +OLDEST +NEWEST\nkinds +3 +0 .*\nmany +100500 +0 .*\n$/,
  );
  assert.match(info.stdout, new RegExp(`^channel +kinds\\nmessages +3\\n(.*\\n){3}epoch +${epoch}\\n$`));
  assert.deepEqual(
    told.stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { channel: string }).channel),
    ['kinds', 'many'],
  );

  const file = join(await tempDir(t), 'some.ndjson');
  await writeFile(file, `${lines.slice(0, 2003).join('\n')}\n`);
  const imported = (...args: string[]): ReturnType<typeof runCli> =>
    runCli(t, { args: ['import', file, ...args], env: { RIVERCAST_URL: to.address } });
  // The second finds all of it stored; the third goes elsewhere.
  for (const args of [[], [], ['--channel', 'one', '--skip', '3']]) {
    assert.deepEqual(await imported(...args), { code: 0, stdout: '', stderr: '' });
  }
  const contents = async (channel: string): Promise<unknown> =>
    (await page(to, { limit: 1000, after: 'earliest' }, path(channel))).messages.map(
      ({ data, data64 }) => data ?? { data64 },
    );
  assert.deepEqual(await contents('kinds'), [{ a: 1, b: [null] }, { data64: '/wA=' }, 'line\nend']);
  assert.deepEqual(
    await contents('many'),
    Array.from({ length: 1000 }, (_, n) => String(n)),
  );
  const lengths = ['kinds', 'many', 'one'].map(async (channel) => {
    const response = await fetch(`${to.address}/api/channels/${channel}`);
    return ((await response.json()) as { length: number }).length;
  });
  assert.deepEqual(await Promise.all(lengths), [3, 2000, 2000]);
});

test('a channel of an older log whose name is none today is left out of an export, and named', async (t) => {
  const log = new GatedLog();
  await using server = await TestServer.start({}, log);
  for (const channel of ['-', '..', '.', 'a']) await fill(log, 1, String, channel);
  const env = { RIVERCAST_URL: server.address };
  const [all, one, into] = await Promise.all([
    runCli(t, { args: ['export', '--all'], env }),
    runCli(t, { args: ['export', '..'], env }),
    runCli(t, { args: ['import', '--channel', '.'], env, input: '' }),
  ]);
  assert.equal(all.code, 0);
  assert.match(all.stdout, /^\{"channel":"-",.*\n\{"channel":"a",.*\n$/);
  assert.match(all.stderr, /^rivercast: "\." is left out.*\nrivercast: "\.\." is left out.*\n$/);
  assert.deepEqual([one.code, into.code], [2, 2]);
});

test('lines that are none are named; what is asked wrongly is told', async (t) => {
  await using server = await TestServer.start();
  const env = { RIVERCAST_URL: server.address };
  const input =
    '{"channel":"c","data":1}\nnothing\n7\n{"data":1}\n{"channel":"c"}\n{"channel":"c","data":2}\n';
  const [mixed, missing, unnamed, both] = await Promise.all([
    runCli(t, { args: ['import'], env, input }),
    runCli(t, { args: ['import', '/nowhere/at/all'], env }),
    runCli(t, { args: ['export'], env }),
    runCli(t, { args: ['export', 'c', '--all'], env }),
  ]);
  assert.equal(mixed.code, 1);
  assert.match(
    mixed.stderr,
    /line 2: no JSON.*\n.*line 3: no object\n.*line 4: it names no channel\n.*line 5: it has neither/,
  );
  assert.equal((await page(server, {}, path('c'))).messages.length, 2);
  assert.deepEqual([missing.code, unnamed.code, both.code], [2, 2, 2]);
  assert.match(missing.stderr, /^rivercast: \/nowhere\/at\/all can not be read: there is no such file\n$/);
  assert.match(unnamed.stderr, /--all/);
});
