import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { mustBeThere, remoteOf } from '../../src/cli/remote.ts';
import { MAIN, runCli, startCli } from '../support/cli.ts';
import { ask, page, scene } from '../support/history.ts';
import { post } from '../support/posts.ts';
import { ServerProcess, TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until, within } from '../support/within.ts';

describe('rivercast tail', { concurrency: 3 }, () => {
  test('one payload a line, as it is or as JSON', async (t) => {
    await using s = await scene(1);
    await s.log.append('local-q', [
      { type: 'json', data: Buffer.from('{"a":1}') },
      { type: 'binary', data: Buffer.from([0xff, 0]) },
    ]);
    const tail = (...args: string[]): ReturnType<typeof runCli> =>
      runCli(t, { args: ['tail', '--after', 'earliest', '--count', '3', ...args, '--url', s.address] });
    const [plain, json, parts] = await Promise.all([tail(), tail('--json'), tail('-0')]);
    assert.deepEqual([plain.code, plain.stderr], [0, '']);
    assert.equal(plain.stdout, `0\n{"a":1}\n${Buffer.from([0xff, 0]).toString()}\n`);
    assert.equal(parts.stdout, plain.stdout.replaceAll('\n', '\0'));
    const told = json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; cursor: string });
    const { messages, epoch } = await page(s);
    assert.deepEqual(
      told,
      messages.map((message) => ({ channel: 'local-q', cursor: `${message.id}@${epoch}`, ...message })),
    );
  });

  test('it goes on where it was when the server comes back', async (t) => {
    const server = await ServerProcess.start(t, { STORE: 'embedded', DATA_DIR: await tempDir(t) });
    const { child, exit } = startCli(t, {
      args: ['tail', 'c', '--after', 'earliest', '--count', '3', '--url', server.address],
    });
    const publish = async (text: string): Promise<void> => {
      await fetch(`${server.address}/api/channels/c/messages`, { method: 'POST', body: text });
    };
    await publish('one');
    await within('the first', new Promise((resolve) => child.stdout?.once('data', resolve)));
    await server.end('SIGKILL');
    await server.restart();
    await publish('two');
    await publish('three');
    const { code, stdout, stderr } = await within('the end', exit);
    assert.deepEqual([code, stdout], [0, 'one\ntwo\nthree\n']);
    assert.equal(stderr, 'rivercast: the connection is lost; trying again\nrivercast: connected again\n');
  });

  test('what is gone is said, or ends it', async (t) => {
    await using s = await scene(30);
    const { messages } = await page(s, { limit: 30 });
    await ask(s, { before: messages[20]?.id ?? '' }, { method: 'DELETE' });
    const tail = (...args: string[]): ReturnType<typeof runCli> =>
      runCli(t, {
        args: ['tail', '--after', messages[9]?.id ?? '', '--count', '1', ...args, '--url', s.address],
      });
    const [told, failed] = await Promise.all([tail(), tail('--on-gap', 'fail')]);
    const says = 'rivercast: some messages of local-q are gone (trimmed)\n';
    assert.deepEqual(told, { code: 0, stdout: '20\n', stderr: says });
    assert.deepEqual(failed, { code: 1, stdout: '', stderr: says });
  });

  test('asked wrongly', async (t) => {
    await using s = await scene(1);
    const wrong: readonly (readonly [string[], number, RegExp])[] = [
      [['--after', 'nonsense'], 2, /after must be latest, earliest/],
      [['--count', '0'], 2, /--count takes a number/],
      [['--on-gap', 'maybe'], 2, /skip, fail/],
      [['a b'], 2, /1 to 128 characters/],
      [
        ['--json', '--aftr', '-5m'],
        2,
        /Did you mean --after\?.*\nrivercast: for example: rivercast tail scores/,
      ],
    ];
    const exits = await Promise.all(
      wrong.map(([args]) => runCli(t, { args: ['tail', ...args, '--url', s.address] })),
    );
    for (const [i, { code, stdout, stderr }] of exits.entries()) {
      assert.deepEqual([code, stdout], [wrong[i]?.[1], ''], stderr);
      assert.match(stderr, wrong[i]?.[2] as RegExp);
    }
  });

  test('a reader that goes away ends it in silence', async () => {
    await using server = await TestServer.start();
    const body = Array.from({ length: 50_000 }, (_, n) => `{"data":"${'x'.repeat(50)}${n}"}\n`).join('');
    const posted = await post(server, body, { headers: { 'Content-Type': 'application/x-ndjson' } });
    assert.equal(posted.status, 200);
    const command = `${process.execPath} ${MAIN} tail --after earliest --url ${server.address} | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await within('the end', promisify(execFile)('bash', ['-c', command]));
    assert.deepEqual([stdout, stderr], [`${'x'.repeat(50)}0\n0\n`, '']);
    await until('its connection is gone', () => server.stats.connections === 0);
  });
});

test('a server that is none of ours, or has no such door, is not waited for', async () => {
  let answer = '<p>hello';
  const stranger = createServer((_request, response) => response.writeHead(404).end(answer));
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const remote = remoteOf({ url: `ws://127.0.0.1:${(stranger.address() as AddressInfo).port}/` });
  await assert.rejects(mustBeThere(remote, '/ws/broadcast'), /is no Rivercast server/);
  answer = '{"detail":"nothing at /ws/broadcast"}';
  await assert.rejects(mustBeThere(remote, '/ws/broadcast'), /ROLE=all or broadcaster/);
  stranger.close();
  stranger.closeAllConnections();
});
