/** A subscription by itself, given what a server may send. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import type { Gap, SubscribeOptions } from '../../src/client/index.ts';
import type { Frame } from '../../src/client/link.ts';
import type { SubscriptionState } from '../../src/client/message.ts';
import { type Carriers, Subscription } from '../../src/client/subscription.ts';
import { nextState, type SubscriptionEvent } from '../../src/client/subscription-state.ts';

const STATES: readonly SubscriptionState[] = ['connecting', 'live', 'paused', 'ended'];
const EVENTS: readonly SubscriptionEvent[] = ['begun', 'lost', 'full', 'room', 'over'];

test('every state has an answer to every event', () => {
  const table = STATES.map((state) => [state, EVENTS.map((event) => nextState(state, event)).join(' ')]);
  assert.deepEqual(table, [
    ['connecting', 'live connecting paused connecting ended'],
    ['live', 'live connecting paused live ended'],
    ['paused', 'paused paused paused connecting ended'],
    ['ended', 'ended ended ended ended ended'],
  ]);
});

const CARRIERS: Carriers = { place: () => undefined };

interface Played {
  readonly subscription: Subscription<unknown>;
  readonly gaps: Gap[];
  /** What it gives its reader, and `gap` for each gap. */
  readonly seen: () => Promise<unknown[]>;
}

function play(frames: readonly Frame[], options: SubscribeOptions<unknown> = {}): Played {
  const gaps: Gap[] = [];
  const subscription = new Subscription('c', { onGap: (gap) => gaps.push(gap), ...options }, CARRIERS);
  for (const frame of frames) subscription.take(frame);
  const seen = async (): Promise<unknown[]> => {
    subscription.end(null);
    const data: unknown[] = [];
    for await (const message of subscription) data.push(message.data);
    return data;
  };
  return { subscription, gaps, seen };
}

function messages(epoch: string | null, ...ids: string[]): Frame {
  return { type: 'messages', epoch, messages: ids.map((id) => ({ id, data: `${id}@${epoch}` })) };
}

const BEGUN: Frame = { type: 'subscribed', epoch: 'e', cursor: '5-0@e.5', tip: '5-0' };

test('what it was given already is dropped, within one history', async () => {
  const { subscription, seen } = play([
    BEGUN,
    messages('e', '5-0', '5-1', '6-0'),
    messages('e', '5-1', '6-0', '6-1'),
    messages('e', '10-0', '9-9'),
  ]);
  assert.equal(subscription.after, '10-0@e');
  assert.deepEqual(await seen(), ['5-1@e', '6-0@e', '6-1@e', '10-0@e']);
});

test('ids beyond the whole numbers of JavaScript are told apart', async () => {
  const { seen } = play([
    BEGUN,
    messages('e', '9-9007199254740993', '9-9007199254740992', '9-18446744073709551615'),
  ]);
  assert.deepEqual(await seen(), ['9-9007199254740993@e', '9-18446744073709551615@e']);
});

test('another history begins anew, with ids that the last one had', async () => {
  const { subscription, gaps, seen } = play([
    BEGUN,
    messages('e', '6-0', '7-0'),
    { type: 'gap', channel: 'c', epoch: 'f', reason: 'reset', lost: null, cursor: '2-0@f.2' },
    messages('f', '2-0', '3-0', '7-0'),
  ]);
  assert.equal(subscription.after, '7-0@f');
  assert.deepEqual(await seen(), ['6-0@e', '7-0@e', '3-0@f', '7-0@f']);
  assert.deepEqual(
    gaps.map(({ reason, cursor }) => [reason, cursor]),
    [['reset', '2-0@f.2']],
  );
});

test('messages of another history that no gap told of are not taken for duplicates', async () => {
  const { seen } = play([BEGUN, messages('e', '6-0'), messages('f', '1-0', '6-0')]);
  assert.deepEqual(await seen(), ['6-0@e', '1-0@f', '6-0@f']);
});

test('after a lost connection nothing comes twice, and nothing before the answer', async () => {
  const { subscription, seen } = play([BEGUN, messages('e', '6-0', '7-0')]);
  subscription.lost();
  assert.equal(subscription.state, 'connecting');
  subscription.take(messages('e', '8-0'));
  subscription.take({ type: 'cursor', cursor: '9-0@e.9' });
  assert.equal(subscription.after, '7-0@e');
  subscription.take({ type: 'subscribed', epoch: 'e', cursor: '7-0@e', tip: '8-0' });
  subscription.take(messages('e', '7-0', '8-0'));
  assert.deepEqual(await seen(), ['6-0@e', '7-0@e', '8-0@e']);
});

test('a position moves it on, and ended it takes nothing', async () => {
  const { subscription, seen } = play([
    BEGUN,
    { type: 'cursor', cursor: '9-0@e.9' },
    messages('e', '8-0', '9-1'),
  ]);
  assert.equal(subscription.after, '9-1@e');
  subscription.end(null);
  subscription.take(BEGUN);
  subscription.take(messages('e', '10-0'));
  assert.equal(subscription.state, 'ended');
  assert.deepEqual(await seen(), ['9-1@e']);
});

test('the validator of zod checks what comes, and gives what it makes of it', async () => {
  const schema = z.object({
    at: z.iso.datetime().transform((text) => new Date(text)),
    home: z.number().int(),
  });
  const subscription = new Subscription('c', { schema }, CARRIERS);
  subscription.take(BEGUN);
  const good = { at: '2026-11-22T10:00:00Z', home: 1, more: true };
  const items = [
    { id: '6-0', data: good },
    { id: '7-0', data: { ...good, home: 1.5 } },
  ];
  subscription.take({ type: 'messages', epoch: 'e', messages: items });
  const reader = subscription[Symbol.asyncIterator]();
  const first = await reader.next();
  assert.deepEqual(first.value?.data, { at: new Date('2026-11-22T10:00:00Z'), home: 1 });
  await assert.rejects(reader.next(), {
    name: 'RiverError',
    code: 'invalid',
    message: /message 7-0 of c: .*int/,
  });
  assert.equal(subscription.state, 'ended');
});

test('a validator may take its time', async () => {
  const schema = z.string().refine(async (text) => text !== 'bad');
  const subscription = new Subscription('c', { schema }, CARRIERS);
  subscription.take(BEGUN);
  subscription.take({
    type: 'messages',
    epoch: 'e',
    messages: ['good', 'bad'].map((data, n) => ({ id: `${n + 6}-0`, data })),
  });
  const reader = subscription[Symbol.asyncIterator]();
  assert.equal((await reader.next()).value?.data, 'good');
  await assert.rejects(reader.next(), { code: 'invalid' });
});
