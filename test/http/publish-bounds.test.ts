/** What clients that post can cost: they are made to wait, or are told to come back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PATH, scene } from '../support/history.ts';
import { answerOn, BATCH_HEAD, post, postText } from '../support/posts.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { until } from '../support/within.ts';

describe('a log that is slow', () => {
  test('makes clients wait: above its bound a connection is not read', async () => {
    await using s = await scene(0, { PUBLISHER_BUFFER_BYTES: '20kb' });
    s.log.hold('append');
    await using raw = await RawSocket.connect(s.address);
    const text = postText('x'.repeat(5000));
    let sent = 0;
    let stuck = 0;
    // 5 MB are more than the kernel takes for a reader that does not read.
    while (stuck < 50 && sent < 20_000) {
      if (raw.socket.writableLength > 0) stuck += 1;
      else for (let n = 0; n < 20; n++, sent++) raw.write(text);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.ok(sent < 20_000, 'the client was never made to wait');
    assert.ok(s.server.stats.posts < 40, `${s.server.stats.posts} posts are here`);
    s.log.release('append');
    for (let n = 0; n < sent; n++) {
      assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 201 /);
    }
    await until('nothing waits', () => s.server.stats.posts === 0 && s.server.stats.unstoredBytes === 0);
  });
  test('that goes in steps makes them wait all the same', async () => {
    await using s = await scene(0, { PUBLISHER_BUFFER_BYTES: '20kb', BATCH_MAX_ENTRIES: '1' });
    await using raw = await RawSocket.connect(s.address);
    const text = postText('x'.repeat(5000));
    const POSTS = 2000;
    let most = 0;
    raw.write(text.repeat(POSTS));
    const reading = (async () => {
      for (let n = 0; n < POSTS; n++) assert.match((await answerOn(raw)).head, /^HTTP\/1\.1 201 /);
    })();
    for (let step = 0; step < 200; step++) {
      s.log.hold('append');
      await new Promise((resolve) => setTimeout(resolve, 1));
      most = Math.max(most, s.server.stats.posts);
      s.log.release('append');
      await new Promise(setImmediate);
    }
    await reading;
    // Three fill the bound, and a read from the socket has a dozen more.
    assert.ok(most < 40, `${most} posts were here at once`);
  });
});

describe('what is held', () => {
  test('is bounded in the number of posts', async () => {
    await using s = await scene(0, { PUBLISHER_BUFFER_BYTES: '1gib', OVERLOADED_AFTER_MS: '1m' });
    s.log.hold('append');
    await using raw = await RawSocket.connect(s.address);
    raw.write(postText('').repeat(10_000));
    await until('all are here', () => s.server.stats.posts === 10_000);
    const { status, headers, body } = await post(s, 'one more');
    assert.deepEqual([status, body.code], [429, 'limit_reached']);
    assert.match(headers['retry-after'] ?? '', /^\d+$/);
    s.log.release('append');
    await until('nothing waits', () => s.server.stats.posts === 0);
    assert.equal((await post(s, 'one more')).status, 201);
  });

  test('is bounded in the number of batches, those that wait among them: they would all begin when there is room', async () => {
    await using s = await scene(0, { MANAGER_BUFFER_BYTES: '64kib', OVERLOADED_AFTER_MS: '1m' });
    s.log.hold('append');
    await using first = await RawSocket.connect(s.address);
    first.write(postText('x'.repeat(100_000)));
    await until('there is no room', () => s.server.stats.unstoredBytes > 100_000);
    const raws = await Promise.all(Array.from({ length: 220 }, () => RawSocket.connect(s.address)));
    for (const raw of raws) raw.write(BATCH_HEAD);
    const waiting = (): number => s.server.stats.posts - 1;
    const answered = (): RawSocket[] => raws.filter((raw) => raw.socket.bytesRead > 0);
    await until('all are here', () => waiting() + answered().length === raws.length);
    assert.equal(waiting(), 200);
    for (const refused of answered()) assert.match(await refused.head(), /^HTTP\/1\.1 429 /);
    s.log.release('append');
    await until('those that waited have begun', () => answered().length === raws.length);
    for (const raw of raws) raw.reset();
    await until('they are gone', () => s.server.stats.posts === 0);
  });

  test('is bounded in bytes of bodies that are not whole', async () => {
    const KIB = 1024;
    await using s = await scene(0, { MAX_MESSAGE_BYTES: '8mib', INCOMPLETE_BYTES: '4mib' });
    await using raw = await RawSocket.connect(s.address);
    const size = 8 * 1024 * KIB;
    raw.write(`POST ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${size}\r\n\r\n`);
    raw.write(Buffer.alloc(1500 * KIB));
    const large = [Buffer.alloc(900 * KIB), Buffer.alloc(900 * KIB)];
    await until('there is no room', async () => (await post(s, large)).status === 429);
    assert.ok(s.server.stats.incompleteBytes <= 4 * 1024 * KIB);
    assert.ok(s.server.stats.limits.incomplete_bytes > 0);
    assert.equal((await post(s, 'small')).status, 201);
    raw.reset();
    await until('there is room', async () => (await post(s, large)).status === 201);
    await until('nothing is held', () => s.server.stats.incompleteBytes === 0);
  });
});
