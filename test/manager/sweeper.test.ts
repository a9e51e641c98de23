import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHANNEL_TTL_MS, DEFAULT_RETENTION } from '../../src/channels.ts';
import { RivercastError } from '../../src/errors.ts';
import { Sweeper } from '../../src/manager/sweeper.ts';
import { ManualClock } from '../support/clock.ts';
import { GatedLog } from '../support/gated-log.ts';
import { until } from '../support/within.ts';

type Level = 'error' | 'info' | 'debug';
type Line = { readonly level: Level } & object;

function recorder(): { lines: Line[]; logger: Record<Level, (fields: object) => void> } {
  const lines: Line[] = [];
  const take =
    (level: Level) =>
    (fields: object): void => {
      lines.push({ level, ...fields });
    };
  return { lines, logger: { error: take('error'), info: take('info'), debug: take('debug') } };
}

test('the log is swept again and again, one sweep after the other, until the sweeper is closed', async () => {
  const log = new GatedLog();
  const { lines, logger } = recorder();
  const sweeper = new Sweeper({ log, logger, everyMs: 1 });
  await until('it was swept three times', () => log.count('sweep') >= 3);
  log.hold('sweep');
  await until('a sweep is under way', () => log.running('sweep') === 1);
  const count = log.count('sweep');
  let isClosed = false;
  const closing = sweeper.close().then(() => {
    isClosed = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual([isClosed, log.count('sweep'), log.most('sweep')], [false, count, 1]);
  log.release('sweep');
  await closing;
  assert.equal(log.count('sweep'), count);
  assert.deepEqual(lines, []);
  await log.close();
});

test('a sweep that fails is told once for each reason, and once when it works again', async () => {
  const log = new GatedLog();
  const { lines, logger } = recorder();
  for (const reason of ['did not answer PING within 1 ms', 'did not answer PING within 2 ms', 'is closed']) {
    log.failNext('sweep', new RivercastError('log_unavailable', reason));
  }
  const sweeper = new Sweeper({ log, logger, everyMs: 1 });
  await until('it works again', () => lines.some(({ level }) => level === 'info'));
  await until('it was swept a few times more', () => log.count('sweep') >= 6);
  await sweeper.close();
  assert.deepEqual(lines, [
    { level: 'error', reason: 'did not answer PING within 1 ms' },
    { level: 'error', reason: 'is closed' },
    { level: 'info' },
  ]);
  await log.close();
});

test('a sweep that removed or forgot something says how much, and one that did not says nothing', async () => {
  const clock = new ManualClock();
  const log = new GatedLog({ clock, retention: { ...DEFAULT_RETENTION, maxAgeMs: 1000 } });
  for (const channel of ['a', 'b']) {
    await log.append(
      channel,
      ['1', '2'].map((data) => ({ type: 'text', data: Buffer.from(data) })),
    );
  }
  const { lines, logger } = recorder();
  const sweeper = new Sweeper({ log, logger, everyMs: 1 });
  const sweptTwice = async (): Promise<void> => {
    const count = log.count('sweep');
    await until('it was swept twice', () => log.count('sweep') >= count + 2);
  };
  await sweptTwice();
  assert.deepEqual(lines, []);
  clock.advance(2000);
  await sweptTwice();
  clock.advance(CHANNEL_TTL_MS);
  await sweptTwice();
  await sweeper.close();
  assert.deepEqual(lines, [
    { level: 'debug', channels: 2, removed: 4, forgotten: 0 },
    { level: 'debug', channels: 2, removed: 0, forgotten: 2 },
  ]);
  await log.close();
});
