/** The shared pass: slices that yield, and subscribers that come and go while one is under way. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Passes, type Passing } from '../../src/broadcaster/passes.ts';
import { at, entry, gapPage, type Member, pageOf, Rig, silent } from '../support/broadcast-rig.ts';
import { ManualClock } from '../support/clock.ts';
import { until } from '../support/within.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** So many steps of 1 ms each. */
class Work implements Passing {
  left: number;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock, steps: number) {
    this.#clock = clock;
    this.left = steps;
  }

  pass(deadline: number): boolean {
    while (this.left > 0) {
      this.left -= 1;
      this.#clock.advance(1);
      if (this.#clock.monotonic() >= deadline) return this.left === 0;
    }
    return true;
  }
}

describe('slices', () => {
  test('a pass that fits in one slice is over when it was started', () => {
    const clock = new ManualClock();
    const passes = new Passes(clock, silent);
    const work = new Work(clock, 5);
    passes.start(work);
    assert.equal(work.left, 0);
    assert.equal(passes.room(), null);
  });

  test('a long pass yields to the event loop between slices of at most 20 ms', async () => {
    const clock = new ManualClock();
    const passes = new Passes(clock, silent);
    const work = new Work(clock, 100);
    passes.start(work);
    const lefts = [work.left];
    while (work.left > 0) {
      await turn();
      lefts.push(work.left);
    }
    assert.ok(lefts.length > 4, `went in ${lefts.length} slices`);
    assert.ok(passes.stats.longestSliceMs <= 20);
    assert.equal(passes.stats.slices, lefts.length);
  });

  test('two long passes take turns', async () => {
    const clock = new ManualClock();
    const passes = new Passes(clock, silent);
    const [a, b] = [new Work(clock, 50), new Work(clock, 50)];
    passes.start(a);
    passes.start(b);
    await turn();
    await turn();
    assert.ok(a.left < 50 && b.left < 50);
    while (a.left + b.left > 0) await turn();
  });

  test('whoever waits for room goes on after the current slice, not after the whole pass', async () => {
    const clock = new ManualClock();
    const passes = new Passes(clock, silent);
    const work = new Work(clock, 100);
    passes.start(work);
    await passes.room();
    assert.ok(work.left > 0);
    while (work.left > 0) await turn();
    assert.equal(passes.room(), null);
  });

  test('what is started inside a slice waits for its turn', () => {
    const clock = new ManualClock();
    const passes = new Passes(clock, silent);
    const order: string[] = [];
    const second: Passing = { pass: () => order.push('second') > 0 };
    const first: Passing = {
      pass: () => {
        passes.start(second);
        return order.push('first') > 0;
      },
    };
    passes.start(first);
    assert.deepEqual(order, ['first', 'second']);
  });
});

/** A tail with members whose every write costs 3 ms, so that a pass takes many slices. */
function slowRig(count: number): { rig: Rig; members: Member[] } {
  const rig = new Rig();
  const members = Array.from({ length: count }, () => rig.subscribe());
  for (const { transport } of members) transport.onWrite = () => rig.clock.advance(3);
  return { rig, members };
}

async function passOver(rig: Rig): Promise<void> {
  while (rig.context.passes.room() !== null) await turn();
}

describe('subscribers during a pass', () => {
  test('all get the entry once, in several slices', async () => {
    const { rig, members } = slowRig(20);
    rig.tail.push(pageOf([entry(1)]));
    assert.ok(members.some(({ transport }) => transport.writes.length === 0));
    await passOver(rig);
    for (const { transport } of members) assert.deepEqual(transport.texts, ['m1']);
  });

  test('one that comes in the middle gets it once', async () => {
    const { rig } = slowRig(20);
    rig.tail.push(pageOf([entry(1)]));
    const late = rig.subscribe({ cursor: at(0) });
    await passOver(rig);
    assert.deepEqual(late.transport.texts, ['m1']);
  });

  test('what comes in the middle reaches also those the pass has been at', async () => {
    const { rig, members } = slowRig(20);
    rig.tail.push(pageOf([entry(1)]));
    rig.tail.push(pageOf([entry(2)]));
    await passOver(rig);
    for (const { transport } of members) assert.deepEqual(transport.texts, ['m1', 'm2']);
  });

  test('those that leave in the middle hide nobody, wherever they lie', async () => {
    for (const leaving of [0, 1, 2, 10, 38]) {
      const { rig, members } = slowRig(80);
      rig.tail.push(pageOf([entry(1)]));
      for (const { subscriber } of members.slice(leaving, leaving + 41)) subscriber.detach();
      await passOver(rig);
      const stayed = [...members.slice(0, leaving), ...members.slice(leaving + 41)];
      for (const { transport } of stayed) assert.deepEqual(transport.texts, ['m1'], `from ${leaving} on`);
      assert.equal(rig.tail.count, stayed.length);
    }
  });

  test('one that leaves while it is written to, as first of the pass, hides nobody', async () => {
    const rig = new Rig();
    const members = Array.from({ length: 60 }, () => rig.subscribe());
    const [first] = members as [Member, ...Member[]];
    first.transport.onWrite = () => {
      for (const { subscriber } of members.slice(0, 40)) subscriber.detach();
    };
    rig.tail.push(pageOf([entry(1)]));
    await passOver(rig);
    for (const { transport } of members.slice(40)) assert.deepEqual(transport.texts, ['m1']);
  });

  test('the first that is closed by a gap hides nobody, however many have left before', async () => {
    const rig = new Rig();
    const first = rig.subscribe({ onGap: 'close' });
    const leaving = Array.from({ length: 31 }, () => rig.subscribe());
    const last = rig.subscribe({ onGap: 'skip' });
    for (const { subscriber } of leaving) subscriber.detach();
    rig.tail.push(gapPage('trimmed', at(9), [entry(10)]));
    await passOver(rig);
    assert.equal(first.transport.closedWith?.code, 4410);
    assert.deepEqual(last.transport.texts, ['m10']);
  });

  test('the places of those that left are used again', async () => {
    const rig = new Rig();
    for (let round = 0; round < 200; round++) {
      const members = Array.from({ length: 10 }, () => rig.subscribe());
      rig.tail.push(pageOf([entry(round + 1)]));
      for (const { subscriber, transport } of members) {
        assert.deepEqual(transport.texts, [`m${round + 1}`]);
        subscriber.detach();
      }
    }
    const { subscription } = rig.subscribe();
    assert.ok(subscription.slot < 64, `slot ${subscription.slot}`);
    assert.equal(rig.tail.subscriptions().length, 1);
  });

  test('one that catches up hands over after a megabyte, and goes on in a later turn of the pass', async () => {
    const rig = new Rig({ ringBytes: 16 * 1024 * 1024 });
    const list = Array.from({ length: 48 }, (_, i) => entry(i + 1, Buffer.alloc(64 * 1024)));
    rig.tail.push(pageOf(list));
    const order: string[] = [];
    const far = rig.subscribe({ cursor: at(48) });
    far.transport.onWrite = () => order.push('far');
    const near = rig.subscribe({ cursor: at(48) });
    near.transport.onWrite = () => order.push('near');
    rig.tail.push(
      pageOf(list.map((one, i) => ({ ...one, id: `${49 + i}-0`, prev: `${48 + i}-0`, ordinal: 49 + i }))),
    );
    await until('both have all', () => far.transport.texts.length + near.transport.texts.length === 96);
    assert.ok(order.indexOf('near') < order.lastIndexOf('far'));
  });

  test('subscribers at one place are written the same object', () => {
    const rig = new Rig();
    const [a, b] = [rig.subscribe(), rig.subscribe()];
    rig.tail.push(pageOf([entry(1), entry(2)]));
    assert.equal(a.transport.writes[0], b.transport.writes[0]);
  });
});

test('a subscriber whose pump fails is cut, and the others go on', () => {
  const rig = new Rig();
  const [bad, good] = [rig.subscribe(), rig.subscribe()];
  bad.transport.onWrite = () => {
    throw new Error('a fault of ours');
  };
  rig.tail.push(pageOf([entry(1)]));
  rig.tail.push(pageOf([entry(2)]));
  assert.equal(bad.transport.destroyed, true);
  assert.equal(good.transport.texts.length, 2);
});

test('one whose pump fails when it has drained is cut, and costs nobody else anything', () => {
  const rig = new Rig();
  const { subscriber, transport } = rig.subscribe();
  transport.outcome = 'pending';
  rig.tail.push(pageOf([entry(1)]));
  rig.tail.push(pageOf([entry(2)]));
  transport.onWrite = () => {
    throw new Error('a fault of ours');
  };
  subscriber.drained();
  assert.deepEqual([transport.destroyed, rig.tail.count], [true, 0]);
});

test('a thousand whose range has come at once are written a few at a time, between turns of the event loop', async () => {
  const rig = new Rig({ ringBytes: 1 });
  await rig.append('a', 'b');
  const before = { id: '0-0', epoch: null, ordinal: null };
  const page = await rig.log.read('c', before, { maxEntries: 10, maxBytes: 1000 });
  // Two blocks, of which the ring keeps the second.
  for (const entry of page.entries) {
    const end = { ...page.end, id: entry.id, ordinal: entry.ordinal };
    rig.tail.push({ ...page, entries: [entry], end });
  }
  const all = Array.from({ length: 1000 }, () => rig.subscribe({ cursor: before }));
  let inTurn = 0;
  let most = 0;
  for (const { transport } of all) {
    transport.onWrite = () => {
      rig.clock.advance(1);
      inTurn += 1;
      most = Math.max(most, inTurn);
    };
  }
  while (!all.every(({ transport }) => transport.texts.length === 2)) {
    inTurn = 0;
    await turn();
  }
  assert.deepEqual(all[999]?.transport.texts, ['a', 'b']);
  assert.ok(most <= 10, `${most} ms in one turn`);
  assert.equal(rig.ranges.reads, 1);
});
