/** Waiting for what comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from '../../../src/log/log.ts';
import { within } from '../../support/within.ts';
import type { OpenLog } from './fixture.ts';
import {
  appendIds,
  FROM_ZERO,
  LIMITS,
  newChannel,
  numbered,
  openDefault,
  readAll,
  text,
  texts,
  WAITS,
} from './support.ts';

/** Less than the 3 s after which a store that was not woken looks again by itself. */
const WAKE_MS = 2000;

export function waitingTests(open: OpenLog): void {
  const never = new AbortController().signal;

  test('a wait returns at once what is already there', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(3));
    const pages = await log.wait(new Map([[channel, FROM_ZERO]]), LIMITS, never);
    assert.deepEqual(texts(pages.get(channel)?.entries ?? []), ['1', '2', '3']);
  });

  test('an append wakes a wait, also for a channel that was unknown', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const waiting = log.wait(new Map([[channel, FROM_ZERO]]), LIMITS, never);
    await log.append(channel, [text('first')]);
    const pages = await within('the append to wake the wait', waiting, WAKE_MS);
    assert.deepEqual(texts(pages.get(channel)?.entries ?? []), ['first']);
    const tip = pages.get(channel)?.end ?? FROM_ZERO;
    const again = log.wait(new Map([[channel, tip]]), LIMITS, never);
    await log.append(channel, [text('second')]);
    assert.deepEqual(texts((await again).get(channel)?.entries ?? []), ['second']);
  });

  test('a wait over several channels returns only those that have something', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const [quiet, one, two] = [newChannel(), newChannel(), newChannel()];
    await log.append(quiet, numbered(2));
    const { end } = await readAll(log, quiet, FROM_ZERO);
    await log.append(one, [text('in one')]);
    await log.append(two, [text('in two')]);
    const seen = new Map<string, string[]>();
    const after = new Map([
      [quiet, end],
      [one, FROM_ZERO],
      [two, FROM_ZERO],
    ]);
    while (seen.size < 2) {
      for (const [name, page] of await log.wait(after, LIMITS, never)) {
        assert.ok(page.entries.length + page.gaps.length > 0);
        seen.set(name, texts(page.entries));
        after.set(name, page.end);
      }
    }
    const expected = new Map([
      [one, ['in one']],
      [two, ['in two']],
    ]);
    assert.deepEqual(seen, expected);
  });

  test('a wait keeps to the limits of a page', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(10));
    const limits = { maxEntries: 3, maxBytes: 1024 };
    const pages = await log.wait(new Map([[channel, FROM_ZERO]]), limits, never);
    assert.deepEqual(texts(pages.get(channel)?.entries ?? []), ['1', '2', '3']);
  });

  test('an aborted wait returns an empty map', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const abort = new AbortController();
    const waiting = log.wait(new Map([[channel, FROM_ZERO]]), LIMITS, abort.signal);
    abort.abort();
    assert.equal((await waiting).size, 0);
    assert.equal((await log.wait(new Map([[channel, FROM_ZERO]]), LIMITS, abort.signal)).size, 0);
    await log.append(channel, [text('still works')]);
    assert.equal((await readAll(log, channel, FROM_ZERO)).entries.length, 1);
  });

  test('nothing is lost between waits while appends go on, and nothing comes twice', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const count = 300;
    const writing = (async () => {
      for (let i = 1; i <= count; i++) {
        await log.append(channel, [text(String(i))]);
        if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const seen: string[] = [];
    let after = FROM_ZERO;
    while (seen.length < count) {
      const page = (await log.wait(new Map([[channel, after]]), LIMITS, never)).get(channel);
      assert.ok(page !== undefined);
      assert.deepEqual(page.gaps, []);
      seen.push(...texts(page.entries));
      after = page.end;
    }
    await writing;
    assert.deepEqual(seen, texts(numbered(count)));
  });

  test('what comes between two waits is there for the second at once', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, [text('before')]);
    const { end } = (await log.wait(new Map([[channel, FROM_ZERO]]), LIMITS, never)).get(channel) as Page;
    await log.append(channel, [text('between')]);
    const waiting = log.wait(new Map([[channel, end]]), LIMITS, never);
    const pages = await within('what came before the wait', waiting, WAKE_MS);
    assert.deepEqual(texts(pages.get(channel)?.entries ?? []), ['between']);
  });

  test('a wait that is given up leaves another on its channel to be woken', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const abort = new AbortController();
    const after = new Map([[channel, FROM_ZERO]]);
    const [given, kept] = [log.wait(after, LIMITS, abort.signal), log.wait(after, LIMITS, never)];
    abort.abort();
    assert.equal((await given).size, 0);
    await log.append(channel, [text('for who stayed')]);
    const pages = await within('the append to wake the other wait', kept, WAKE_MS);
    assert.deepEqual(texts(pages.get(channel)?.entries ?? []), ['for who stayed']);
  });

  test('several waits on one channel all wake', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    const waits = Array.from({ length: 3 }, () => log.wait(new Map([[channel, FROM_ZERO]]), LIMITS, never));
    const [id] = await appendIds(log, channel, [text('for all')]);
    for (const pages of await Promise.all(waits)) assert.equal(pages.get(channel)?.entries[0]?.id, id);
  });

  test('a wait tells a gap', WAITS, async (t) => {
    const { log } = await openDefault(open, t);
    const channel = newChannel();
    await log.append(channel, numbered(5));
    const start = await log.locate(channel, { at: 'earliest' });
    await log.trim(channel, { maxEntries: 2 });
    const page = (await log.wait(new Map([[channel, start]]), LIMITS, never)).get(channel);
    assert.equal(page?.gaps[0]?.gap.reason, 'trimmed');
    assert.deepEqual(texts(page?.entries ?? []), ['4', '5']);
  });
}
