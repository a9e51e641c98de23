/**
 * Random publishing, subscribing, stalling, trimming and resuming against a model that is one array: the
 * entries ever published, and how many of them are trimmed. Whatever happens, each subscriber is written the
 * entries after its start once and in order, and what it misses was trimmed and told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Cursor, parseCursor } from '../../src/protocol/cursor.ts';
import type { EntryId } from '../../src/protocol/id.ts';
import { parseStart, type Start } from '../../src/protocol/start.ts';
import { CHANNEL, FollowedLog, type Follower, turn } from '../support/followed-log.ts';

type Step =
  | { readonly do: 'publish'; readonly sizes: readonly number[] }
  | { readonly do: 'subscribe'; readonly start: Wanted; readonly onGap: 'fail' | 'skip' }
  | { readonly do: 'stall' | 'drain' | 'leave' | 'resume'; readonly who: number }
  | { readonly do: 'trim'; readonly keep: number }
  | { readonly do: 'settle' }
  | { readonly do: 'turn' };

interface Wanted {
  readonly form: 'earliest' | 'latest' | 'last' | 'id' | 'cursor' | 'foreign';
  /** How many entries before the newest. */
  readonly n: number;
}

interface Watched extends Follower {
  readonly onGap: 'fail' | 'skip';
  /** The index of the first entry owed to it. */
  readonly owed: number;
  /** Whether trimmed entries before its first are no loss. */
  readonly fresh: boolean;
}

const WHO = fc.nat(30);
const SIZE = fc.oneof(
  { weight: 4, arbitrary: fc.nat(20) },
  { weight: 1, arbitrary: fc.integer({ min: 1000, max: 9000 }) },
);
const START: fc.Arbitrary<Wanted> = fc.record({
  form: fc.constantFrom('earliest', 'latest', 'last', 'id', 'cursor', 'foreign'),
  n: fc.nat(25),
});
const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      sizes: fc.array(SIZE, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('subscribe' as const),
      start: START,
      onGap: fc.constantFrom('fail' as const, 'skip' as const),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('stall' as const, 'drain' as const, 'leave' as const, 'resume' as const),
      who: WHO,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('trim' as const), keep: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.constant({ do: 'settle' as const }) },
  { weight: 8, arbitrary: fc.constant({ do: 'turn' as const }) },
);

/** Unbiased: small cases, which fast-check prefers, have no history to go wrong with. */
const STEPS = fc.noBias(fc.array(STEP, { minLength: 30, maxLength: 100, size: 'max' }));

class World implements AsyncDisposable {
  readonly #followed = new FollowedLog({ ringBytes: 16_000, stalledBytes: 64 * 1024 });
  readonly #texts: string[] = [];
  readonly #ids: EntryId[] = [];
  readonly #watched: Watched[] = [];
  #trimmed = 0;

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'publish':
        return this.#publish(step.sizes);
      case 'subscribe':
        return this.#subscribe(this.#startOf(step.start), step.onGap, step.start.form);
      case 'trim':
        return this.#trim(step.keep);
      case 'settle':
        return this.#followed.settled(this.#watched);
      case 'turn':
        return turn();
      case 'stall':
      case 'drain':
      case 'leave':
      case 'resume':
        return this.#move(step.do, this.#watched[step.who % Math.max(1, this.#watched.length)]);
    }
  }

  /** Lets everybody read to the end, and looks at what each was written. */
  async check(): Promise<void> {
    for (const one of this.#watched) this.#drain(one);
    await this.#followed.settled(this.#watched);
    for (const one of this.#watched) this.#checkOne(one);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#followed[Symbol.asyncDispose]();
  }

  async #publish(sizes: readonly number[]): Promise<void> {
    const texts = sizes.map((size, i) => `${this.#texts.length + i}.`.padEnd(size, '.'));
    this.#followed.clock.advance(sizes.length % 3);
    const results = await this.#followed.log.append(
      CHANNEL,
      texts.map((text) => ({ type: 'text', data: Buffer.from(text) })),
    );
    this.#texts.push(...texts);
    this.#ids.push(...results.map(({ id }) => id));
  }

  async #trim(keep: number): Promise<void> {
    this.#trimmed += await this.#followed.log.trim(CHANNEL, { maxEntries: keep });
    // What is live reaches who reads before it is trimmed: one that misses it here has been stalled.
    await turn();
  }

  #startOf({ form, n }: Wanted): Start {
    const id = this.#ids[this.#ids.length - 1 - n] ?? this.#ids[0] ?? '0-0';
    switch (form) {
      case 'earliest':
      case 'latest':
        return { at: form };
      case 'last':
        return { at: 'last', count: n };
      case 'id':
        return { at: 'cursor', cursor: { id, epoch: null, ordinal: null } };
      case 'cursor':
        return { at: 'cursor', cursor: { id, epoch: null, ordinal: this.#ids.indexOf(id) + 1 } };
      case 'foreign':
        return { at: 'cursor', cursor: { id, epoch: 'forged', ordinal: 7 } };
    }
  }

  async #subscribe(start: Start, onGap: 'fail' | 'skip', form: Wanted['form']): Promise<void> {
    const follower = await this.#followed.follow(start, onGap);
    const fresh = start.at === 'earliest' || start.at === 'last';
    if (form === 'foreign') {
      assert.equal(follower.gap?.reason, 'reset');
      this.#watched.push({ ...follower, onGap, owed: 0, fresh: true });
      return;
    }
    // The latest is the tip that this process has seen, which may be a page behind the log's.
    const owed = start.at === 'latest' ? this.#indexAfter(follower.startedAt) : this.#owedBy(start);
    if (follower.gap === null) {
      this.#watched.push({ ...follower, onGap, owed, fresh });
      return;
    }
    assert.equal(follower.gap.reason, 'trimmed');
    const after = this.#indexAfter(follower.gap.resumeAt);
    assert.ok(owed < after && after <= this.#trimmed, `owed ${owed}, goes on at ${after}`);
    this.#watched.push({ ...follower, onGap, owed: after, fresh: false });
  }

  #owedBy(start: Start): number {
    switch (start.at) {
      case 'earliest':
        return this.#trimmed;
      case 'last':
        return Math.max(this.#trimmed, this.#texts.length - start.count);
      case 'cursor':
        return this.#indexAfter(start.cursor);
      case 'latest':
      case 'time':
        return this.#texts.length;
    }
  }

  #indexAfter({ id, ordinal }: Cursor): number {
    if (id === '0-0') return 0;
    const after = this.#ids.indexOf(id) + 1;
    assert.ok(after > 0, `${id} is no entry`);
    assert.ok(ordinal === null || ordinal === after, `${id} is entry ${after}, not ${ordinal}`);
    return after;
  }

  async #move(how: 'stall' | 'drain' | 'leave' | 'resume', one: Watched | undefined): Promise<void> {
    if (one === undefined || one.transport.destroyed) return;
    if (how === 'stall') one.transport.outcome = 'pending';
    if (how === 'drain') this.#drain(one);
    if (how === 'leave') one.subscriber.close(1012);
    if (how !== 'resume' || one.transport.closedWith === null) return;
    const text = one.transport.closedWith.reason.slice('cursor='.length);
    const start = parseStart(text, 0);
    assert.ok(start?.at === 'cursor', text);
    assert.deepEqual(start.cursor, parseCursor(text));
    await this.#subscribe(start, one.onGap, 'cursor');
  }

  #drain({ transport, subscriber }: Watched): void {
    if (transport.destroyed) return;
    transport.drain();
    subscriber.drained();
  }

  #checkOne(one: Watched): void {
    const { transport, subscriber, subscription, onGap } = one;
    const seen = transport.texts.map((text) => Number.parseInt(text, 10));
    let next = one.owed;
    for (const [i, n] of seen.entries()) {
      assert.ok(n >= next, `${n} after ${next - 1}: again, or out of order`);
      assert.equal(transport.texts[i], this.#texts[n], 'the bytes are the published ones');
      if (n > next) this.#checkHole(one, next, n, i === 0);
      next = n + 1;
    }
    if (transport.destroyed) return;
    this.#indexAfter(subscription.cursor);
    const { closedWith } = transport;
    if (closedWith === null) {
      assert.ok(subscriber.isOpen);
      if (next < this.#texts.length) this.#checkHole(one, next, this.#texts.length, seen.length === 0);
      return;
    }
    const after = this.#indexAfter(parseCursor(closedWith.reason.slice('cursor='.length)) ?? assert.fail());
    if (closedWith.code === 1012) {
      if (after > next) this.#checkHole(one, next, after, seen.length === 0);
      return;
    }
    assert.deepEqual([closedWith.code, onGap], [4410, 'fail']);
    assert.ok(after > next && after <= this.#trimmed, `${next} to ${after}, ${this.#trimmed} trimmed`);
  }

  /** Entries `from` to `to` (excluded) were not written: they were trimmed, and that is no secret. */
  #checkHole({ onGap, fresh }: Watched, from: number, to: number, atStart: boolean): void {
    assert.ok(to <= this.#trimmed, `${from} to ${to} missing, ${this.#trimmed} trimmed`);
    assert.ok(onGap === 'skip' || (fresh && atStart), 'one that asked to be told was not');
  }
}

test('every subscriber is written exactly what it is owed, or told what it misses', async () => {
  const property = fc.asyncProperty(STEPS, async (steps) => {
    await using world = new World();
    for (const step of steps) await world.take(step);
    await world.check();
  });
  await fc.assert(property, { numRuns: 200 });
});
