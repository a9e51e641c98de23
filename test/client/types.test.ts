/** What the types of the client let through, and what they do not: the compiler is the test, each time tests are built. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { connect, type Message, type River, type Subscription } from '../../src/client/index.ts';
import { useChannel } from '../../src/client/react.ts';

interface Score {
  readonly home: number;
}

type Same<A, B> = [A, B] extends [B, A] ? true : false;

/** Compiles only where the two are the same type. */
function isSame<A, B>(same: Same<A, B>): void {
  assert.equal(same, true);
}

/** Never called: it is enough that it compiles. */
function subscribing(river: River): void {
  const plain = river.subscribe('scores');
  isSame<typeof plain, Subscription<unknown>>(true);
  river.subscribe<Score>('scores', { onMessage: ({ data }) => data.home.toFixed() });
  // @ts-expect-error: nobody said what the data is
  river.subscribe('scores', { onMessage: ({ data }) => data.home });
  // @ts-expect-error: it has no such member
  river.subscribe<Score>('scores', { onMessage: ({ data }) => data.away });
  // @ts-expect-error: no such option
  river.subscribe('scores', { from: 'earliest' });
  // @ts-expect-error: a place is text, or a store
  river.subscribe('scores', { after: 7 });
  // @ts-expect-error: what was received is not to be changed
  river.subscribe('scores', { onMessage: (message) => (message.id = '') });
}

function checking(river: River): void {
  const schema = z.object({ home: z.number(), at: z.string().transform((text) => new Date(text)) });
  const checked = river.subscribe('scores', { schema });
  isSame<typeof checked, Subscription<{ home: number; at: Date }>>(true);
  river.subscribe('scores', { schema, onMessage: ({ data }) => data.at.getTime() });
  // @ts-expect-error: the schema makes something else
  river.subscribe<string>('scores', { schema });
  // @ts-expect-error: no schema
  river.subscribe('scores', { schema: { parse: (value: unknown) => value } });
}

async function reading(river: River): Promise<void> {
  for await (const message of river.subscribe<Score>('scores')) isSame<typeof message, Message<Score>>(true);
  const id = await river.publish('scores', { home: 1 }, { key: 'k' });
  isSame<typeof id, string>(true);
  // @ts-expect-error: a key is text
  await river.publish('scores', 1, { key: 1 });
}

function Component({ river }: { readonly river: River }): void {
  const { last, messages } = useChannel<Score>(river, 'scores', { after: 'last:1' });
  isSame<typeof last, Message<Score> | null>(true);
  isSame<(typeof messages)[number], Message<Score>>(true);
  const checked = useChannel(river, 'scores', { schema: z.number() });
  isSame<(typeof checked)['last'], Message<number> | null>(true);
  // @ts-expect-error: there may be none yet
  isSame(last.data);
}

function connecting(): void {
  connect('http://127.0.0.1', { WebSocket, token: async () => 'text', maxQueued: 1, maxQueuedBytes: 1 });
  // @ts-expect-error: a token is asked for each time
  connect('http://127.0.0.1', { token: 'text' });
  // @ts-expect-error: no WebSocket
  connect('http://127.0.0.1', { WebSocket: URL });
}

test('the types are as they should be', () => {
  for (const one of [subscribing, checking, reading, Component, connecting])
    assert.equal(typeof one, 'function');
});
