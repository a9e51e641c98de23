import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type Exit, runCli } from '../support/cli.ts';
import { dataOf, page, scene } from '../support/history.ts';

test('removes what lies before a place, and says what is left', async (t) => {
  await using s = await scene(25);
  const { messages, tip } = await page(s, { limit: 25 });
  const id = messages[10]?.id ?? '';
  assert.deepEqual(await runCli(t, { args: ['trim', 'local-q', '--before', id, '--url', s.address] }), {
    code: 0,
    stdout: `removed 10 messages; what is left begins at ${id}, the last id is ${tip}\n`,
    stderr: '',
  });
  assert.equal(dataOf((await page(s, { limit: 25 })).messages)[0], '10');
  // A value that begins with a dash is one all the same; the server may be named by the environment.
  const env = { RIVERCAST_URL: `${s.address}/` };
  const nothing = await runCli(t, { args: ['trim', 'local-q', '--before', '-2h'], env });
  assert.match(nothing.stdout, /^removed 15 messages; nothing is left, the last id is \d+-\d+\n$/);
});

test('asked wrongly: a line that says what to type, and exit code 2', async (t) => {
  await using s = await scene(1);
  const url = ['--url', s.address];
  const WRONG: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [['trim', '--before', '-2h'], /channel.*\n.*rivercast trim scores --before/],
    [['trim', 'local-q', ...url], /--before.*\n.*rivercast trim scores --before/],
    [['trim', 'local-q', 'other', '--before', 'latest', ...url], /too many/],
    [['trim', 'local-q', '--befor', 'latest', ...url], /--before/],
    [['trim', 'a b', '--before', 'latest', ...url], /1 to 128 characters/],
    [['trim', 'local-q', '--before', 'yesterday', ...url], /400 before= must be one of: .*ISO time/],
    [
      ['trim', 'local-q', '--before', 'latest', '--url', '127.0.0.1:3000'],
      /such as http:\/\/127\.0\.0\.1:3000/,
    ],
  ];
  const results = await Promise.all(WRONG.map(([args]) => runCli(t, { args })));
  for (const [i, { code, stdout, stderr }] of results.entries()) {
    const [args, says] = WRONG[i] as (typeof WRONG)[number];
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    assert.match(stderr, says);
    assert.match(stderr, /^(rivercast: .*\n)+$/);
  }
  assert.equal((await s.log.bounds('local-q')).length, 1);
});

test('no server there, or none of ours, or one that refuses: one line, and exit code 1', async (t) => {
  const stranger = createServer((_request, response) => response.end('hello'));
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const strange = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`;
  const asked = (url: string): Promise<Exit> =>
    runCli(t, { args: ['trim', 'local-q', '--before', 'latest', '--url', url] });
  const other = await asked(strange);
  await new Promise((resolve) => stranger.close(resolve));
  const gone = await asked(strange);
  await using s = await scene(1);
  s.log.failNext('bounds', new Error('a bug'));
  const failed = await asked(s.address);
  for (const [{ code, stdout, stderr }, says] of [
    [other, /is no Rivercast server/],
    [gone, /no answer from http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\)/],
    [failed, /refused: 500 the server failed to answer/],
  ] as const) {
    assert.deepEqual([code, stdout], [1, '']);
    assert.match(stderr, says);
    assert.match(stderr, /^rivercast: [^\n]*\n$/);
  }
});
