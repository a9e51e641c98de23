/** What bounds memory: the budget of rings and ranges, the stalled sockets, and when one is too slow. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Budget } from '../../src/broadcaster/budget.ts';
import { isTooSlow, type SlowLimits } from '../../src/broadcaster/slow-reader.ts';
import { type Stallable, Stalls } from '../../src/broadcaster/stalls.ts';
import { entry, pageOf, Rig } from '../support/broadcast-rig.ts';

class Shelf {
  readonly name: string;
  isGone = false;
  readonly #sizes: number[] = [];
  readonly #given: string[];

  constructor(name: string, given: string[]) {
    this.name = name;
    this.#given = given;
  }

  put(budget: Budget, bytes: number): void {
    this.#sizes.push(bytes);
    budget.hold(this, bytes);
  }

  release(): number {
    const bytes = this.#sizes.shift() ?? 0;
    this.#given.push(`${this.name}:${bytes}`);
    return bytes;
  }
}

describe('the budget', () => {
  test('gives up what was kept longest first, whoever holds it', () => {
    const given: string[] = [];
    const budget = new Budget(100);
    const [a, b] = [new Shelf('a', given), new Shelf('b', given)];
    a.put(budget, 40);
    b.put(budget, 30);
    a.put(budget, 30);
    assert.deepEqual(given, []);
    b.put(budget, 50);
    assert.deepEqual(given, ['a:40', 'b:30']);
    assert.equal(budget.bytes, 80);
  });

  test('keeps what came last, even when that alone is more than all of it', () => {
    const given: string[] = [];
    const budget = new Budget(100);
    const shelf = new Shelf('a', given);
    shelf.put(budget, 10);
    shelf.put(budget, 500);
    assert.deepEqual(given, ['a:10']);
    assert.equal(budget.bytes, 500);
  });

  test('forgets the bytes of a holder that is gone, and its places cost nothing later', () => {
    const budget = new Budget(100);
    const gone = { release: () => 0, isGone: true };
    budget.hold(gone, 90);
    budget.forget(90, 1);
    assert.equal(budget.bytes, 0);
    const given: string[] = [];
    const shelf = new Shelf('b', given);
    for (let i = 0; i < 4; i++) shelf.put(budget, 30);
    assert.deepEqual(given, ['b:30']);
    assert.equal(budget.bytes, 90);
  });

  test('does not keep holders that are gone, however many come and go', () => {
    const budget = new Budget(100);
    const stays = new Shelf('stays', []);
    stays.put(budget, 1);
    for (let i = 0; i < 20_000; i++) {
      const shelf = new Shelf('goes', []);
      shelf.put(budget, 1);
      shelf.isGone = true;
      budget.forget(1, 1);
    }
    assert.ok(budget.places < 1000, `${budget.places} places`);
    assert.equal(budget.bytes, 1);
  });

  test('stays at its bound over ten thousand things', () => {
    const given: string[] = [];
    const budget = new Budget(1000);
    const shelf = new Shelf('a', given);
    for (let i = 0; i < 10_000; i++) shelf.put(budget, 100);
    assert.equal(budget.bytes, 1000);
    assert.equal(given.length, 9990);
  });

  test('a tail that is closed gives its bytes back once', () => {
    const rig = new Rig({ ringBytes: 64 * 1024 });
    rig.tail.push(pageOf([entry(1), entry(2)]));
    assert.ok(rig.context.budget.bytes > 0);
    rig.tail.close();
    assert.equal(rig.context.budget.bytes, 0);
    assert.equal(rig.tail.release(), 0);
  });
});

/** Something that can stall, and is taken out when it is destroyed. */
class Dummy implements Stallable {
  destroyed = false;
  readonly #stalls: Stalls<Dummy>;

  constructor(stalls: Stalls<Dummy>) {
    this.#stalls = stalls;
  }

  stall(pendingBytes: number, memory = new ArrayBuffer(pendingBytes)): void {
    this.#stalls.add(this, { memory, sinceMs: 0, marks: [] });
  }

  destroy(): void {
    this.destroyed = true;
    this.#stalls.remove(this);
  }
}

function stallsOf(maxBytes: number, writeBytes: number, count: number): [Stalls<Dummy>, Dummy[]] {
  const stalls = new Stalls<Dummy>({ maxBytes, writeBytes });
  return [stalls, Array.from({ length: count }, () => new Dummy(stalls))];
}

const KIB = 1024;

describe('stalled sockets', () => {
  test('a write has its full size while nothing is pending', () => {
    assert.equal(stallsOf(1024 * KIB, 256 * KIB, 0)[0].writeBytes, 256 * KIB);
  });

  test('the more is pending, the smaller the next write: powers of two, never below 4 KiB', () => {
    const [stalls, all] = stallsOf(1024 * KIB, 256 * KIB, 10);
    const sizes: number[] = [];
    for (const one of all) {
      one.stall(102 * KIB);
      sizes.push(stalls.writeBytes);
    }
    assert.deepEqual(
      sizes,
      sizes.toSorted((a, b) => b - a),
    );
    for (const size of sizes) assert.equal(Math.log2(size) % 1, 0);
    assert.equal(sizes.at(-1), 4 * KIB);
  });

  test('readers that wait with the same bytes keep them alive once, until the last of them goes on', () => {
    const [stalls, all] = stallsOf(1024 * KIB, 256 * KIB, 1000);
    const memory = new ArrayBuffer(100 * KIB);
    for (const one of all) one.stall(0, memory);
    assert.equal(stalls.bytes, 100 * KIB);
    for (const one of all.slice(1)) stalls.remove(one);
    assert.equal(stalls.bytes, 100 * KIB);
    stalls.remove(all[0] as Dummy);
    assert.equal(stalls.bytes, 0);
  });

  test('a write grows again when the stalled go on', () => {
    const [stalls, [one]] = stallsOf(1024 * KIB, 256 * KIB, 1) as [Stalls<Dummy>, [Dummy]];
    one.stall(900 * KIB);
    assert.ok(stalls.writeBytes < 64 * KIB);
    stalls.remove(one);
    stalls.remove(one);
    assert.deepEqual([stalls.bytes, stalls.count, stalls.writeBytes], [0, 0, 256 * KIB]);
  });

  test('ten thousand that never read stay within the bound, most of them still connected', () => {
    const [stalls, all] = stallsOf(64 * KIB * KIB, 256 * KIB, 10_000);
    for (const one of all) {
      one.stall(stalls.writeBytes);
      assert.ok(stalls.bytes <= 64 * KIB * KIB);
    }
    assert.ok(stalls.count > 8000, `${stalls.count} left`);
  });

  test('above the bound the longest stalled is destroyed, and only as many as needed', () => {
    const [stalls, all] = stallsOf(250, 4 * KIB, 4);
    for (const one of all) one.stall(100);
    assert.deepEqual(
      all.map(({ destroyed }) => destroyed),
      [true, true, false, false],
    );
    assert.equal(stalls.bytes, 200);
  });

  test('a subscriber that is destroyed for it is gone from its channel', () => {
    const rig = new Rig({ stalledBytes: 6 });
    const [first, second] = [rig.subscribe(), rig.subscribe()];
    first.transport.outcome = 'pending';
    rig.tail.push(pageOf([entry(1)]));
    second.transport.outcome = 'pending';
    rig.tail.push(pageOf([entry(2)]));
    assert.deepEqual([first.transport.destroyed, second.transport.destroyed], [true, false]);
    assert.equal(rig.tail.count, 1);
    assert.equal(rig.context.stalls.bytes, 4);
  });

  test('the one that just stalled is never the one destroyed', () => {
    const [, [one]] = stallsOf(50, 4 * KIB, 1) as [Stalls<Dummy>, [Dummy]];
    one.stall(100);
    assert.equal(one.destroyed, false);
  });
});

describe('too slow', () => {
  const limits: SlowLimits = { slowAfterMs: 1000, slowEntries: 10, slowBytes: 500 };
  const table: readonly (readonly [lag: readonly [number, number, number], slow: boolean, why: string])[] = [
    [[0, 0, 0], false, 'one that reads and is at the tip'],
    [[0, 1_000_000, 1_000_000], false, 'one that replays from far behind, reading'],
    [[999, 1_000_000, 1_000_000], false, 'one that has not stood still for long enough'],
    [[1_000_000, 0, 0], false, 'one that stands still in a quiet channel'],
    [[1000, 10, 500], false, 'one exactly at both bounds'],
    [[1000, 11, 0], true, 'one that stands still and is too many entries behind'],
    [[1000, 0, 501], true, 'one that stands still and is too many bytes behind'],
    [[60_000, 11, 501], true, 'one far beyond everything'],
  ];
  for (const [[stalledMs, entries, bytes], slow, why] of table) {
    test(`${why} is ${slow ? 'too slow' : 'not too slow'}`, () => {
      assert.equal(isTooSlow({ stalledMs, entries, bytes }, limits), slow);
    });
  }

  test('the lag counts from the stall, or from where the subscriber was if that is further back', () => {
    const rig = new Rig();
    const { subscriber, transport } = rig.subscribe();
    assert.deepEqual(subscriber.lag, { stalledMs: 0, entries: 0, bytes: 0 });
    transport.outcome = 'pending';
    rig.tail.push(pageOf([entry(1)]));
    rig.clock.advance(300);
    rig.tail.push(pageOf([entry(2), entry(3)]));
    assert.deepEqual(subscriber.lag, { stalledMs: 300, entries: 2, bytes: 8 });
    transport.drain();
    subscriber.drained();
    assert.equal(subscriber.lag.stalledMs, 0);
  });
});
