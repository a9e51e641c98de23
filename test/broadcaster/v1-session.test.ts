/** What a session answers, in which order, and what it costs when nobody reads the answers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import type { GapReason } from '../../src/log/log.ts';
import { at, entry, gapPage, pageOf } from '../support/broadcast-rig.ts';
import { CHANNEL, turn } from '../support/followed-log.ts';
import { outline, V1Played } from '../support/v1-played.ts';

const SUBSCRIBE = { type: 'subscribe', channel: CHANNEL };
const UNSUBSCRIBE = { type: 'unsubscribe', channel: CHANNEL };

describe('asks', () => {
  test('are answered in the order they came, though some must wait for the log', async () => {
    await using played = new V1Played();
    const { log } = played.followed;
    log.hold('bounds');
    played.ask(
      { ...SUBSCRIBE, ref: 1 },
      { type: 'nonsense', ref: 2 },
      { ...SUBSCRIBE, ref: 3 },
      { ...UNSUBSCRIBE, ref: 4 },
    );
    assert.deepEqual(await played.answers(), []);
    log.release('bounds');
    const answers = await played.answers();
    assert.deepEqual(outline(answers), [
      'subscribed c',
      'error bad_request',
      'error bad_request c',
      'unsubscribed c',
    ]);
    assert.deepEqual(
      answers.map(({ ref }) => ref),
      [1, 2, 3, 4],
    );
  });

  test('are refused with the code that fits, and say nothing of a name that is none', async () => {
    await using played = new V1Played();
    played.ask(
      { ...SUBSCRIBE, channel: 'not a name', ref: 'a' },
      { ...SUBSCRIBE, channel: 'x'.repeat(129) },
      { ...SUBSCRIBE, channel: '' },
      { ...SUBSCRIBE, channel: '.' },
      { ...UNSUBSCRIBE, channel: 'a/b' },
      { ...UNSUBSCRIBE, channel: '..' },
      { ...SUBSCRIBE, after: '' },
      { ...SUBSCRIBE, after: 'x'.repeat(60_000), ref: 'b' },
      UNSUBSCRIBE,
    );
    played.session.receive(Buffer.from('{}'), true);
    const answers = await played.answers();
    assert.deepEqual(outline(answers), [
      'error bad_channel',
      'error bad_channel',
      'error bad_channel',
      'error bad_channel',
      'error bad_channel',
      'error bad_channel',
      'error bad_cursor c',
      'error bad_cursor c',
      'error bad_request c',
      'error bad_request',
    ]);
    assert.deepEqual([answers[0]?.['ref'], answers[7]?.['ref']], ['a', 'b']);
    for (const answer of answers) {
      assert.equal(answer['retry'], false);
      assert.equal('retryAfter' in answer, false);
    }
  });

  test('are counted: the 101st channel is refused, and let in once another is left', async () => {
    await using played = new V1Played();
    for (let i = 0; i <= 100; i++) played.ask({ ...SUBSCRIBE, channel: `c${i}`, ref: i });
    const answers = await played.answers();
    assert.deepEqual(outline(answers.slice(99)), ['subscribed c99', 'error limit_reached c100']);
    assert.equal(answers[100]?.['retry'], true);
    played.ask({ type: 'unsubscribe', channel: 'c7' }, { ...SUBSCRIBE, channel: 'c100' });
    assert.deepEqual(outline(await played.answers()), ['unsubscribed c7', 'subscribed c100']);
  });

  test('to follow a channel while the log is down are refused together, as something to try again', async () => {
    await using played = new V1Played();
    const { log } = played.followed;
    log.hold('bounds');
    for (let i = 0; i < 20; i++) played.ask({ ...SUBSCRIBE, channel: `c${i}`, ref: i });
    await turn();
    log.failNext('bounds', new RivercastError('log_unavailable', 'no answer'));
    log.release('bounds');
    const answers = await played.answers();
    assert.equal(log.count('bounds'), 1);
    assert.deepEqual(
      outline(answers),
      Array.from({ length: 20 }, (_, i) => `error log_unavailable c${i}`),
    );
    for (const { retry, retryAfter } of answers) assert.deepEqual([retry, retryAfter], [true, 1]);
    played.ask(SUBSCRIBE);
    assert.deepEqual(outline(await played.answers()), ['subscribed c']);
  });

  test('that meet a fault of ours are answered, and the connection goes on', async () => {
    await using played = new V1Played();
    played.followed.log.failNext('bounds', new TypeError('a fault'));
    played.ask(SUBSCRIBE, SUBSCRIBE);
    assert.deepEqual(outline(await played.answers()), ['error internal c', 'subscribed c']);
  });

  test('whose connection is gone meanwhile leave nothing behind', async () => {
    await using played = new V1Played();
    const { log, broadcaster } = played.followed;
    log.hold('bounds');
    played.ask(SUBSCRIBE, { ...SUBSCRIBE, channel: 'd' });
    await turn();
    played.session.detach();
    log.release('bounds');
    assert.deepEqual(await played.answers(), []);
    assert.equal(log.count('bounds'), 1);
    assert.deepEqual([broadcaster.stats().subscribers, broadcaster.stats().subscriptions], [0, 0]);
    played.ask(SUBSCRIBE);
    assert.deepEqual(await played.answers(), []);
  });

  test('a thousand times the same channel, and leaving it, are answered one by one', async () => {
    await using played = new V1Played();
    const { broadcaster, log } = played.followed;
    for (let i = 0; i < 1000; i++) {
      played.ask({ ...SUBSCRIBE, ref: i }, { ...UNSUBSCRIBE, ref: i });
      if (i % 10 === 9) await turn();
    }
    const answers = await played.answers();
    assert.equal(answers.length, 2000);
    for (const [i, { type, ref }] of answers.entries()) {
      assert.deepEqual([type, ref], [i % 2 === 0 ? 'subscribed' : 'unsubscribed', Math.floor(i / 2)]);
    }
    assert.equal(broadcaster.stats().subscriptions, 0);
    assert.equal(log.count('bounds'), 1);
  });

  test('give others their turn now and then', async () => {
    await using played = new V1Played();
    for (let i = 0; i < 2000; i++) played.ask({ type: 'nonsense' });
    await turn();
    const { length } = played.frames();
    assert.ok(length < 200, `${length} in a row`);
    await played.answers();
  });
});

describe('one that does not read its answers', () => {
  test('is not read, and all is answered once it reads on', async () => {
    await using played = new V1Played();
    const { connection } = played;
    connection.outcome = 'pending';
    let sent = 0;
    while (!connection.isPaused) played.ask({ type: 'nonsense', ref: sent++ });
    // One that was answered, and the 64 that wait.
    assert.equal(sent, 65);
    assert.equal((await played.answers()).length, 1);
    played.drain();
    assert.equal((await played.answers()).length, 64);
    assert.equal(connection.isPaused, false);
  });

  test('is answered before it is sent more entries, or a flood could never be left', async () => {
    await using played = new V1Played();
    const { connection, followed } = played;
    played.ask(SUBSCRIBE);
    await played.answers();
    connection.outcome = 'pending';
    for (let i = 0; i < 100; i++) await followed.publishApart('x'.repeat(1000));
    connection.onWrite = () => {
      connection.outcome = 'pending';
    };
    played.ask({ ...UNSUBSCRIBE, ref: 'enough' });
    // The socket takes one write each time.
    played.drain();
    played.drain();
    const frames = await played.answers();
    assert.ok(outline(frames).includes('unsubscribed c'), 'within two writes');
    const { stats } = { stats: followed.broadcaster.stats() };
    assert.equal(stats.subscriptions, 0);
  });

  test('is read on when it is closed, so that its own close is seen', async () => {
    await using played = new V1Played();
    const { connection, followed } = played;
    connection.outcome = 'pending';
    while (!connection.isPaused) played.ask({ type: 'nonsense' });
    await followed.broadcaster.closeAll(1012, 0, AbortSignal.timeout(1000));
    assert.deepEqual(connection.closedWith, { code: 1012, reason: '' });
    assert.equal(connection.isPaused, false);
    for (let i = 0; i < 1000; i++) played.ask({ type: 'nonsense' });
    assert.equal(connection.isPaused, false);
    assert.equal((await played.answers()).length, 1);
  });
});

describe('a subscription', () => {
  test('that is left ends at once: what was being read for it is not sent', async () => {
    await using played = new V1Played();
    const { log } = played.followed;
    await played.followed.publish('a', 'b');
    log.hold('read');
    played.ask({ ...SUBSCRIBE, after: 'earliest' });
    assert.deepEqual(outline(await played.answers()), ['subscribed c']);
    assert.equal(log.running('read'), 1);
    played.ask(UNSUBSCRIBE);
    assert.deepEqual(outline(await played.answers()), ['unsubscribed c']);
    log.release('read');
    assert.deepEqual(await played.answers(), []);
    played.ask({ ...SUBSCRIBE, after: 'earliest' });
    assert.deepEqual(outline(await played.answers()), ['subscribed c', 'messages c']);
  });

  test('says where it was when it is left, and begins there again', async () => {
    await using played = new V1Played();
    await played.followed.publish('a', 'b', 'c');
    played.ask({ ...SUBSCRIBE, after: 'last:2' }, UNSUBSCRIBE);
    await played.answers();
    played.ask({ ...SUBSCRIBE, after: 'last:2' });
    await played.answers();
    played.ask(UNSUBSCRIBE);
    const [left] = await played.answers();
    await played.followed.publish('d');
    played.ask({ ...SUBSCRIBE, after: left?.['cursor'] });
    const [, messages] = await played.answers();
    assert.deepEqual(JSON.stringify(messages).match(/"data":"."/g), ['"data":"d"']);
  });

  for (const reason of ['trimmed', 'reset', 'deleted', 'damaged'] satisfies GapReason[]) {
    test(`that meets a gap (${reason}) is told exactly, and goes on behind it`, async () => {
      await using played = new V1Played();
      played.followed.log.hold('wait');
      const { tail } = await played.admit(CHANNEL);
      played.ask(SUBSCRIBE);
      await played.answers();
      tail.push(pageOf([entry(1)]));
      const epoch = reason === 'reset' ? 'e2' : 'e1';
      const { gaps, ...page } = gapPage(reason, at(5, epoch), [entry(6)]);
      const gap = { ...(gaps[0]?.gap ?? assert.fail()), requested: at(1), floor: '6-0', lost: 4 };
      tail.push({ ...page, gaps: [{ before: 0, gap }] });
      const [, told, ...after] = await played.answers();
      assert.deepEqual(told, {
        type: 'gap',
        channel: CHANNEL,
        epoch,
        requested: '1-0@e1.1',
        floor: '6-0',
        lost: 4,
        reason,
        cursor: `5-0@${epoch}.5`,
      });
      assert.deepEqual(outline(after), ['messages c']);
      assert.equal(after[0]?.['epoch'], epoch);
    });
  }

  test('with on_gap=fail ends at a gap, and says so: gap, error, unsubscribed', async () => {
    await using played = new V1Played();
    played.followed.log.hold('wait');
    const { tail } = await played.admit(CHANNEL);
    const other = await played.admit('d');
    played.ask({ ...SUBSCRIBE, on_gap: 'fail', ref: 1 }, { ...SUBSCRIBE, channel: 'd', on_gap: 'fail' });
    await played.answers();
    tail.push(gapPage('deleted', at(5), [entry(6)]));
    assert.deepEqual(outline(await played.answers()), ['gap c', 'messages c'], 'deleting is no fault');
    tail.push(gapPage('trimmed', at(9), [entry(10)]));
    const [gap, error, unsubscribed, ...more] = await played.answers();
    assert.deepEqual(outline([gap ?? {}, error ?? {}, unsubscribed ?? {}]), [
      'gap c',
      'error gap c',
      'unsubscribed c',
    ]);
    assert.deepEqual(
      [gap, error, unsubscribed].map((frame) => frame?.['cursor']),
      ['9-0@e1.9', '9-0@e1.9', '9-0@e1.9'],
    );
    assert.deepEqual([error?.['retry'], 'ref' in (error ?? {})], [false, false]);
    assert.deepEqual(more, []);
    tail.push(pageOf([entry(11)]));
    other.tail.push(pageOf([entry(1)]));
    assert.deepEqual(outline(await played.answers()), ['messages d']);
  });

  test('with on_gap=fail that ends while the socket pushes back is still told all of it', async () => {
    await using played = new V1Played();
    played.followed.log.hold('wait');
    const { tail } = await played.admit(CHANNEL);
    played.ask({ ...SUBSCRIBE, on_gap: 'fail' });
    await played.answers();
    played.connection.outcome = 'pending';
    tail.push(gapPage('trimmed', at(9), [entry(10)]));
    assert.deepEqual(outline(await played.answers()), ['gap c', 'error gap c', 'unsubscribed c']);
    played.drain();
    assert.deepEqual(await played.answers(), []);
  });

  test('of the URL with on_gap=fail is told the gap, and then closed with the cursor behind it', async () => {
    await using played = new V1Played();
    played.followed.log.hold('wait');
    const admission = await played.admit(CHANNEL);
    played.session.begin([admission], 'close');
    admission.tail.push(gapPage('reset', at(5, 'e2')));
    assert.deepEqual(outline(await played.answers()), ['subscribed c', 'gap c']);
    assert.deepEqual(played.connection.closedWith, { code: 4410, reason: 'cursor=5-0@e2.5' });
  });
});

test('ever new channels that are left again keep nobody out', async () => {
  await using played = new V1Played();
  const { broadcaster } = played.followed;
  for (let i = 0; i < 2100; i++) {
    played.ask({ ...SUBSCRIBE, channel: `c${i}` }, { ...UNSUBSCRIBE, channel: `c${i}` });
    if (i % 20 === 19) await played.answers();
  }
  played.ask({ ...SUBSCRIBE, channel: 'one more' }, { ...SUBSCRIBE, channel: 'one.more' });
  assert.deepEqual(outline(await played.answers()), ['error bad_channel', 'subscribed one.more']);
  assert.equal(broadcaster.stats().subscriptions, 1);
});
