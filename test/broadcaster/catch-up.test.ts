/** Reading older entries back: shared, few at a time, and tried again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rig } from '../support/broadcast-rig.ts';
import { CHANNEL, FollowedLog, turn } from '../support/followed-log.ts';
import { until } from '../support/within.ts';

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `m${from + i}`);
}

test('two at one cursor cost one read, and are written the same bytes', async () => {
  await using followed = new FollowedLog();
  await followed.publish(...numbers(1, 20));
  const both = [
    await followed.follow({ at: 'earliest' }),
    await followed.follow({ at: 'earliest' }),
  ] as const;
  await followed.settled(both);
  assert.equal(followed.log.count('read'), 1);
  assert.equal(both[0].transport.writes[0], both[1].transport.writes[0]);
  assert.deepEqual(both[1].transport.texts, numbers(1, 20));
});

test('one that joins while the read is under way is answered by it', async () => {
  await using followed = new FollowedLog();
  await followed.publish(...numbers(1, 20));
  followed.log.hold('read');
  const first = await followed.follow({ at: 'earliest' });
  await turn();
  assert.equal(followed.log.running('read'), 1);
  const second = await followed.follow({ at: 'earliest' });
  followed.log.release('read');
  await followed.settled([first, second]);
  assert.equal(followed.log.count('read'), 1);
  assert.deepEqual(second.transport.texts, numbers(1, 20));
});

test('at most four reads are under way at a time, and all are served in the end', async () => {
  await using followed = new FollowedLog();
  await followed.publish(...numbers(1, 20));
  followed.log.hold('read');
  const followers = [];
  for (let count = 1; count <= 20; count++) followers.push(await followed.follow({ at: 'last', count }));
  await turn();
  assert.equal(followed.log.running('read'), 4);
  followed.log.release('read');
  await followed.settled(followers);
  assert.equal(followed.log.most('read'), 4);
  for (const [i, { transport }] of followers.entries()) {
    assert.deepEqual(transport.texts, numbers(20 - i, 20));
  }
});

test('a read is about the size of one write, and the next one goes on where it ended', async () => {
  await using followed = new FollowedLog({ writeBytes: 4096 });
  await followed.publish(...Array.from({ length: 40 }, (_, i) => String(i).padEnd(1000, '.')));
  const follower = await followed.follow({ at: 'earliest' });
  await followed.settled([follower]);
  assert.equal(follower.transport.texts.length, 40);
  assert.ok(followed.log.count('read') >= 10);
  for (const bytes of follower.transport.writes) assert.ok(bytes.length <= 4096 + 4 * 4);
});

test('a failing read is tried again until it works, and nothing is missed or written twice', async () => {
  await using followed = new FollowedLog();
  await followed.publish(...numbers(1, 20));
  for (let i = 0; i < 2; i++) followed.log.failNext('read', new Error('no answer'));
  const follower = await followed.follow({ at: 'earliest' });
  await followed.settled([follower]);
  assert.deepEqual(follower.transport.texts, numbers(1, 20));
  assert.equal(followed.log.count('read'), 3);
});

test('a read that nobody waits for any more is not tried again', async () => {
  await using followed = new FollowedLog();
  await followed.publish(...numbers(1, 20));
  for (let i = 0; i < 10; i++) followed.log.failNext('read', new Error('no answer'));
  const left = await followed.follow({ at: 'earliest' });
  await until('the first read failed', () => followed.log.count('read') === 1);
  left.subscriber.detach();
  const other = await followed.follow({ at: 'last', count: 1 });
  await until('others are served', () => followed.log.count('read') >= 3);
  other.subscriber.detach();
  assert.deepEqual(left.transport.texts, []);
});

test('what comes while a read is under way is neither missed nor written twice', async () => {
  await using followed = new FollowedLog();
  await followed.publish(...numbers(1, 5));
  followed.log.hold('read');
  const follower = await followed.follow({ at: 'last', count: 3 });
  await turn();
  await followed.publishApart(...numbers(6, 9));
  followed.log.release('read');
  await followed.settled([follower]);
  assert.deepEqual(follower.transport.texts, numbers(3, 9));
});

test('a read that looked before an entry came does not keep it from one who asks after it came', async (t) => {
  const rig = new Rig({ ringBytes: 1 });
  const limits = { maxEntries: 10, maxBytes: 1024 };
  await rig.append('m1');
  rig.tail.push(await rig.log.read(CHANNEL, rig.tail.ring.end, limits));
  const cursor = rig.tail.ring.end;
  const looked = await rig.log.read(CHANNEL, cursor, limits);
  const slow = async () => turn().then(() => looked);
  t.mock.method(rig.log, 'read', slow, { times: 1 });
  const early = rig.ranges.after(rig.tail, cursor);
  await rig.append('m2');
  rig.tail.push(await rig.log.inner.read(CHANNEL, cursor, limits));
  // Other channels take the memory.
  while (rig.tail.release() > 0);
  const late = rig.subscribe({ cursor });
  assert.equal((await early).range.nextNo, 0);
  await until('it has the entry', () => late.transport.texts.length > 0, 1000);
  assert.deepEqual(late.transport.texts, ['m2']);
});

test('a resume reads the log once: the page that judged it is the page that is written', async () => {
  await using followed = new FollowedLog({ ringBytes: 1024 * 1024 });
  await followed.publish(...numbers(1, 20));
  const cursor = await followed.cursorBefore(10);
  const follower = await followed.follow({ at: 'cursor', cursor });
  await followed.settled([follower]);
  assert.deepEqual(follower.transport.texts, numbers(11, 20));
  assert.equal(followed.log.count('read'), 1);
});

test('one at the tip costs no read at all, however many entries come', async () => {
  await using followed = new FollowedLog();
  await followed.publish(...numbers(1, 5));
  const follower = await followed.follow({ at: 'latest' });
  await followed.publishApart(...numbers(6, 30));
  await followed.settled([follower]);
  assert.deepEqual(follower.transport.texts, numbers(6, 30));
  assert.equal(followed.log.count('read'), 0);
});
