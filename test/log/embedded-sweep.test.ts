/** A channel that the embedded log forgot stays forgotten, and nothing of it is found in another. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import type { NewEntry } from '../../src/log/log.ts';
import { ManualClock } from '../support/clock.ts';
import { LIMITS, payloads, START, texts } from '../support/redis-log.ts';
import { tempDir } from '../support/temp-dir.ts';

const TTL_MS = 60_000;
const WINDOW_MS = 4 * TTL_MS;
const GO_ON = new AbortController().signal;

interface Scene {
  readonly clock: ManualClock;
  log: EmbeddedLog;
  reopen(): Promise<void>;
}

async function scene(t: TestContext): Promise<Scene> {
  const clock = new ManualClock();
  const dataDir = await tempDir(t, () => opened.log.close());
  const retention = (): typeof DEFAULT_RETENTION => ({ ...DEFAULT_RETENTION, maxAgeMs: 1000 });
  const idempotency = { windowMs: WINDOW_MS, maxKeys: 1000 };
  const open = (): Promise<EmbeddedLog> =>
    EmbeddedLog.open({ dataDir, clock, retention, idempotency, channelTtlMs: TTL_MS });
  const opened: Scene = {
    clock,
    log: await open(),
    reopen: async () => {
      await opened.log.close();
      opened.log = await open();
    },
  };
  return opened;
}

async function texted(log: EmbeddedLog, channel: string): Promise<string[]> {
  return payloads(await log.read(channel, START, LIMITS));
}

test('a forgotten channel is gone after a restart, and nothing of it is found in those that come after it', async (t) => {
  const s = await scene(t);
  await s.log.append('first', texts('a'));
  // The highest number, which a restart would give again if nothing but the channels told of it.
  await s.log.append('last', texts('b', 'c'));
  const { epoch } = await s.log.bounds('last');
  s.clock.advance(TTL_MS + 1);
  await s.log.append('first', texts('d'));
  const done = await s.log.sweep(GO_ON);
  assert.deepEqual(done, { channels: 2, removed: 2, forgotten: 1 });
  await s.reopen();
  assert.equal((await s.log.bounds('last')).tip, '0-0');
  await s.log.append('other', texts('e'));
  await s.log.append('last', texts('f'));
  assert.notEqual((await s.log.bounds('last')).epoch, epoch);
  await s.reopen();
  for (const [channel, expected] of Object.entries({ first: ['d'], other: ['e'], last: ['f'] })) {
    assert.deepEqual(await texted(s.log, channel), expected, channel);
  }
  const { channels } = await s.log.channels({ after: null, limit: 10 });
  assert.deepEqual(
    channels.map(({ channel }) => channel),
    ['first', 'last', 'other'],
  );
});

test('a channel is not forgotten before its idempotency keys are', async (t) => {
  const s = await scene(t);
  const entry: NewEntry = { ...(texts('a')[0] as NewEntry), key: 'k' };
  const [first] = await s.log.append('a', [entry]);
  s.clock.advance(TTL_MS + 1);
  assert.equal((await s.log.sweep(GO_ON))?.forgotten, 0);
  assert.deepEqual(await s.log.append('a', [entry]), [{ id: first?.id, duplicate: true }]);
});
