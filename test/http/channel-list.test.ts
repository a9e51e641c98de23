/** The list of channels over HTTP: its pages, its bounds, and who may ask. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RivercastError } from '../../src/errors.ts';
import type { NewEntry } from '../../src/log/log.ts';
import { GatedLog } from '../support/gated-log.ts';
import { type Answer, ask } from '../support/history.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { until } from '../support/within.ts';

interface List {
  readonly channels: readonly { readonly channel: string; readonly [member: string]: unknown }[];
  readonly cursor: string | null;
  readonly code?: string;
}

const PATH = '/api/channels';
const ONE: readonly NewEntry[] = [{ type: 'text', data: Buffer.from('x') }];

function list(server: TestServer, query: Record<string, string | number> = {}): Promise<Answer<List>> {
  return ask<List>(server, query, { path: PATH });
}

function names({ body }: Answer<List>): string[] {
  return body.channels.map(({ channel }) => channel);
}

describe('the list of channels', () => {
  test('describes each as it is described alone', async () => {
    const log = new GatedLog();
    for (const channel of ['b', 'a', 'local-q']) for (let i = 0; i < 3; i++) await log.append(channel, ONE);
    await log.trim('b', { maxEntries: 1 });
    await using server = await TestServer.start({}, log);
    await using subscriber = await server.subscriber('?channel=b');
    const { status, headers, body } = await list(server);
    assert.deepEqual([status, headers.get('cache-control')], [200, 'no-store']);
    assert.deepEqual([body.channels.length, body.cursor], [3, null]);
    for (const described of body.channels) {
      const alone = await ask(server, {}, { path: `${PATH}/${described.channel}` });
      assert.deepEqual(described, alone.body);
    }
    assert.deepEqual(
      body.channels.map(({ channel, subscribers }) => [channel, subscribers]),
      [
        ['a', 0],
        ['b', 1],
        ['local-q', 0],
      ],
    );
    await subscriber.close();
  });

  test('has pages: 100 when nobody says, the cursor leads to the next, the last one has none', async () => {
    const log = new GatedLog();
    const all = Array.from({ length: 250 }, (_, i) => `c${String(i).padStart(3, '0')}`);
    for (const channel of all) await log.append(channel, ONE);
    await using server = await TestServer.start({}, log);
    const found: string[] = [];
    const sizes: number[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Answer<List> = await list(server, cursor === '' ? {} : { after: cursor });
      sizes.push(page.body.channels.length);
      found.push(...names(page));
      ({ cursor } = page.body);
    }
    assert.deepEqual([found, sizes], [all, [100, 100, 50]]);
    assert.deepEqual(names(await list(server, { after: 'c248', limit: 1 })), ['c249']);
    assert.deepEqual(names(await list(server, { after: 'zzz' })), []);
    assert.equal(names(await list(server, { limit: 1000 })).length, 250);
  });

  test('has the channels of an older log whose names are none today, and goes on behind them', async () => {
    const log = new GatedLog();
    for (const channel of ['-', '.', '..', '...']) await log.append(channel, ONE);
    await using server = await TestServer.start({}, log);
    const found: string[] = [];
    for (let cursor: string | null = '-'; cursor !== null; ) {
      const page: Answer<List> = await list(server, { limit: 1, after: cursor });
      found.push(...names(page));
      ({ cursor } = page.body);
    }
    assert.deepEqual(found, ['.', '..', '...']);
  });

  test('is refused for bad parameters, and when the log does not answer', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    for (const limit of ['0', '1001', '-1', '1.5', '', 'x', '1e3']) {
      const { status, body } = await list(server, { limit });
      assert.deepEqual([status, body.code], [400, 'bad_request'], limit);
    }
    for (const after of ['', 'a b', 'é', 'x'.repeat(129)]) {
      assert.equal((await list(server, { after })).body.code, 'bad_channel', after);
    }
    assert.equal(log.count('channels'), 0);
    log.failNext('channels', new RivercastError('log_unavailable', 'the log does not answer'));
    const { status, headers, body } = await list(server);
    assert.deepEqual([status, body.code], [503, 'log_unavailable']);
    assert.ok(headers.get('retry-after'));
  });

  test('is answered to HEAD, to web pages that may ask, and not to others', async () => {
    await using server = await TestServer.start();
    assert.deepEqual((await ask(server, {}, { path: PATH, method: 'HEAD' })).status, 200);
    const local = await ask(server, {}, { path: PATH, headers: { Origin: 'http://localhost:5173' } });
    assert.equal(local.headers.get('access-control-allow-origin'), 'http://localhost:5173');
    const foreign = await ask(server, {}, { path: PATH, headers: { Origin: 'https://evil.example' } });
    assert.equal(foreign.status, 403);
  });

  test('is the same at both roles, and sweeping is the business of the manager', async () => {
    await using redis = await RedisServer.start();
    const settings = {
      STORE: 'redis',
      REDIS_URL: redis.url,
      RETENTION_MAX_AGE_MS: '300ms',
      SWEEP_MS: '100ms',
    };
    await using manager = await TestServer.start({ ...settings, ROLE: 'manager' });
    await using broadcaster = await TestServer.start({ ...settings, ROLE: 'broadcaster' });
    for (const channel of ['a', 'b']) {
      await using publisher = await manager.publisher(`?channel=${channel}`);
      publisher.send('x');
      await publisher.close();
    }
    await until('both are noted', async () => names(await list(broadcaster)).length === 2);
    // Nothing more is published: what is old goes all the same.
    await until('nothing is kept', async () => {
      const { channels } = (await list(manager)).body;
      return channels.every(({ floor, length }) => floor === null && length === 0);
    });
    assert.deepEqual((await list(manager)).body, (await list(broadcaster)).body);
    assert.equal((await list(manager)).body.channels.length, 2);
  });
});
