/** Requests sent on one connection without waiting for answers: stored in their order, batches among them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHANNEL, NDJSON, scene } from '../support/history.ts';
import { postText } from '../support/posts.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { REQUIRED, token } from '../support/tokens.ts';
import { until, within } from '../support/within.ts';

const START = { id: '0-0', epoch: null, ordinal: null };
const ALL = { maxEntries: 1_000_000, maxBytes: 1e9 };

// A bound so small that each waits for room, and one that nobody meets.
for (const bound of ['4kb', '8mib']) {
  // Batches that come whole, and some whose lines come in several pieces.
  for (const lines of [1, 10, 3000]) {
    test(`batches of ${lines} and posts by turns, with room for ${bound}`, async () => {
      await using s = await scene(0, { PUBLISHER_BUFFER_BYTES: bound });
      await using raw = await RawSocket.connect(s.address);
      let count = 0;
      const next = (): string => `${count++}`;
      const batch = (): string => Array.from({ length: lines }, () => `{"data":"${next()}"}\n`).join('');
      const sent: string[] = [];
      for (let round = 0; round < 5; round++) {
        sent.push(postText(batch(), `Content-Type: ${NDJSON}`), postText(next()), postText(next()));
      }
      raw.write(`${sent.join('')}${postText(next(), 'Connection: close')}`);
      await within('the end', raw.closed);
      const { entries } = await s.log.inner.read(CHANNEL, START, ALL);
      assert.deepEqual(
        entries.map(({ data }) => data.toString()),
        Array.from({ length: count }, (_, n) => `${n}`),
      );
    });
  }
}

test('a batch whose end comes later than its beginning, together with what is behind it', async () => {
  const body = '{"data":"0"}\n{"data":"1"}\n{"data":"2"}';
  const sent = `${postText(body, `Content-Type: ${NDJSON}`)}${postText('3')}${postText('4', 'Connection: close')}`;
  const bodyAt = sent.indexOf(body);
  for (let cut = bodyAt; cut <= bodyAt + body.length; cut++) {
    await using s = await scene(0);
    await using raw = await RawSocket.connect(s.address);
    s.log.hold('append');
    raw.write(sent.slice(0, cut));
    await until('the batch has begun', () => s.server.stats.posts === 1);
    raw.write(sent.slice(cut));
    await until('the posts are here', () => s.server.stats.posts === 3);
    s.log.release('append');
    await within('the end', raw.closed);
    const { entries } = await s.log.inner.read(CHANNEL, START, ALL);
    assert.equal(entries.map(({ data }) => data.toString()).join(), '0,1,2,3,4', `cut at ${cut}`);
  }
});

test('posts whose token is checked for the first time', async () => {
  await using s = await scene(0, REQUIRED);
  // Checking takes some threads of the process, which do not finish in the order in which they begin.
  for (let round = 0; round < 20; round++) {
    const shown = await token({ sub: `${round}`, publish: ['*'] });
    await using raw = await RawSocket.connect(s.address);
    const post = (n: number): string => postText(`${round} ${n}`, `Authorization: Bearer ${shown}`);
    raw.write(Array.from({ length: 40 }, (_, n) => post(n)).join(''));
    await until('they are stored', async () => {
      return (await s.log.inner.bounds(CHANNEL)).length === (round + 1) * 40;
    });
  }
  const { entries } = await s.log.inner.read(CHANNEL, START, ALL);
  assert.deepEqual(
    entries.map(({ data }) => data.toString()),
    Array.from({ length: 20 * 40 }, (_, n) => `${Math.floor(n / 40)} ${n % 40}`),
  );
});

test('a batch that waited for room together with what is behind it', async () => {
  await using s = await scene(0, { PUBLISHER_BUFFER_BYTES: '4kb' });
  await using raw = await RawSocket.connect(s.address);
  s.log.hold('append');
  const batch = postText('{"data":"1"}\n{"data":"2"}\n', `Content-Type: ${NDJSON}`);
  raw.write(`${postText('0'.repeat(5000))}${batch}${postText('3')}${postText('4', 'Connection: close')}`);
  await until('all are here', () => s.server.stats.posts === 4);
  s.log.release('append');
  await within('the end', raw.closed);
  const { entries } = await s.log.inner.read(CHANNEL, START, ALL);
  assert.deepEqual(
    entries.map(({ data }) => data.toString().slice(0, 1)),
    ['0', '1', '2', '3', '4'],
  );
});
