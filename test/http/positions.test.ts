/** Positions that nobody could have been at, by all doors: each is refused or told as a gap, never passed over. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import { parseCursor } from '../../src/protocol/cursor.ts';
import { EventStream } from '../support/event-stream.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { WebSocketClient } from '../support/websocket-client.ts';

const CHANNEL = 'positions';
const OTHER = 'positions.other';
const KEPT = ['7', '8', '9'];
const TEXTS = Array.from({ length: 10 }, (_, i) => String(i));

/** What comes of a position: a gap with its reason, or the code of an error. */
type Told = { readonly gap: string } | { readonly code: string };

describe('a position', { concurrency: 4 }, () => {
  let server: TestServer;
  /** The cursor after the first of ten entries, of which the last three are kept, and one of another channel. */
  let first = '';
  let others = '';

  before(async () => {
    const log = new MemoryLog({ clock: systemClock, retention: () => DEFAULT_RETENTION });
    const append = async (channel: string): Promise<string> => {
      const [one] = await log.append(
        channel,
        TEXTS.map((text) => ({ type: 'text', data: Buffer.from(text) })),
      );
      const { epoch } = await log.bounds(channel);
      return `${one?.id}@${epoch}.1`;
    };
    first = await append(CHANNEL);
    others = await append(OTHER);
    await log.trim(CHANNEL, { maxEntries: KEPT.length });
    server = await TestServer.start({}, log);
  });
  after(() => server.stop());

  const idOf = (cursor: string): string => parseCursor(cursor)?.id ?? '';
  const cases: readonly (readonly [name: string, position: () => string, told: Told])[] = [
    ['below the floor, whole', () => first, { gap: 'trimmed' }],
    ['below the floor, as a plain id', () => idOf(first), { gap: 'trimmed' }],
    ['of an unknown epoch', () => `${idOf(first)}@unknown.1`, { gap: 'reset' }],
    ['of another channel', () => others, { gap: 'reset' }],
    ['beyond the tip', () => '9999999999999-0', { gap: 'reset' }],
    ['at the end of all ids', () => '18446744073709551615-18446744073709551615', { gap: 'reset' }],
    ...[
      '',
      ' ',
      '$',
      '-',
      '-1',
      '-1-1',
      '1-',
      '1--1',
      '01-1',
      '1-01',
      '1',
      '18446744073709551616-0',
      '0-18446744073709551616',
      '1-1@',
      '1-1@a@b',
      '1-1@abcdefgh.-1',
      '1-1\n',
      '1-1\0',
      '1e3-0',
      '٣-0',
      'last:-1',
      'last:18446744073709551616',
      'x'.repeat(81),
      '1'.repeat(5000),
    ].map((position): readonly [string, () => string, Told] => [
      JSON.stringify(position).slice(0, 40),
      () => position,
      { code: 'bad_cursor' },
    ]),
  ];

  for (const [name, position, told] of cases) {
    test(`${name} is told as ${Object.values(told)[0]}`, async () => {
      const query = `?channel=${CHANNEL}&after=${encodeURIComponent(position())}`;
      await atRaw(query, told);
      await atV1(position(), told);
      await atSse(query, told);
      await atHistory(query, told);
    });
  }

  async function atRaw(query: string, told: Told): Promise<void> {
    const { status, body } = await WebSocketClient.refused(server.url(`/ws/broadcast${query}`));
    if ('gap' in told) assert.deepEqual([status, body['reason']], [410, told.gap]);
    else assert.deepEqual([status, body['code']], [400, told.code]);
  }

  async function atV1(position: string, told: Told): Promise<void> {
    await using client = await V1Client.open(server);
    client.send({ type: 'subscribe', channel: CHANNEL, after: position });
    if ('code' in told) {
      assert.equal((await client.expect('error'))['code'], told.code);
      return;
    }
    await client.expect('subscribed');
    assert.equal((await client.expect('gap'))['reason'], told.gap);
  }

  async function atSse(query: string, told: Told): Promise<void> {
    await using stream = await EventStream.open(`${server.address}/sse${query}`);
    assert.equal(stream.status, 'gap' in told ? 200 : 400);
    if ('code' in told) return;
    const [gap] = await stream.take(1);
    assert.equal((JSON.parse(gap?.data ?? '') as Record<string, unknown>)['reason'], told.gap);
  }

  async function atHistory(query: string, told: Told): Promise<void> {
    const answer = await fetch(`${server.address}/api/channels/${CHANNEL}/messages${query}`);
    const body = (await answer.json()) as {
      readonly code?: string;
      readonly gap?: { readonly reason: string };
    };
    if ('gap' in told) assert.deepEqual([answer.status, body.gap?.reason], [200, told.gap]);
    else assert.deepEqual([answer.status, body.code], [400, told.code]);
  }
});
