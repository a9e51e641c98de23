/**
 * Where a reset goes on when the newest entries were lost: after the last one that was kept, whatever the process
 * that notices had delivered of it. Earlier, and those who had what was kept are sent it again; later, and what
 * came in place of what was lost is skipped.
 *
 * The loss is that of a failover: stream and meta become, in one step, what a copy of them was.
 */
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import type { RedisLog } from '../../src/log/redis.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import type { EntryId } from '../../src/protocol/id.ts';
import { openLog, ownChannel, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { followLive, followToEnd } from './follow.ts';

const COPY = `for i = 1, 2 do redis.call('COPY', KEYS[i], KEYS[i] .. ARGV[1]) end`;
const BRING_BACK = `for i = 1, 2 do redis.call('COPY', KEYS[i] .. ARGV[1], KEYS[i], 'REPLACE') end`;
/** One entry as another server writes it, whose clock is behind. */
const WRITE = `
  redis.call('XADD', KEYS[1], ARGV[1], 'data', ARGV[2], 'p', ARGV[3], 'n', ARGV[4])
  redis.call('HSET', KEYS[2], 'tip', ARGV[1], 'n', ARGV[4])`;

let server: RedisServer;

before(async () => {
  server = await RedisServer.start();
});

after(async () => {
  await server[Symbol.asyncDispose]();
});

class Scene {
  readonly log: RedisLog;
  readonly channel: string;
  readonly #key: string;

  private constructor(log: RedisLog, own: { readonly channel: string; readonly key: string }) {
    this.log = log;
    this.channel = own.channel;
    this.#key = own.key;
  }

  static async set(t: TestContext): Promise<Scene> {
    return new Scene(await openLog(t, server.url, { deadlines: { checkMs: 50 } }), ownChannel());
  }

  /** Appends each by itself, so that they are milliseconds apart; returns their ids. */
  async append(...payloads: string[]): Promise<EntryId[]> {
    const ids: EntryId[] = [];
    for (const payload of payloads) {
      const [stored] = await this.log.append(this.channel, texts(payload));
      const id = stored?.id as EntryId;
      ids.push(id);
      while (Date.now() <= Number(id.split('-')[0]) + 1);
    }
    return ids;
  }

  /** Delivers as a live tail does. */
  async deliver(after: Cursor, count: number): Promise<Cursor> {
    return (await followLive(this.log, this.channel, after, count)).end;
  }

  async tip(): Promise<Cursor> {
    const { tip, epoch, tipOrdinal } = await this.log.bounds(this.channel);
    return { id: tip, epoch, ordinal: tipOrdinal };
  }

  delete(id: EntryId): Promise<string> {
    return server.cli('XDEL', this.#key, id);
  }

  copy(): Promise<string> {
    return this.#run(COPY, ' copy');
  }

  failOver(): Promise<string> {
    return this.#run(BRING_BACK, ' copy');
  }

  write(...entry: [id: EntryId, payload: string, prev: EntryId, n: string]): Promise<string> {
    return this.#run(WRITE, ...entry);
  }

  /** Whoever was at `lost` is told a reset after `kept`, and what it has then, it can also resume for. */
  async resumes(lost: Cursor, kept: EntryId, rest: readonly string[]): Promise<void> {
    const { log, channel } = this;
    const followed = await followToEnd(log, channel, lost);
    assert.deepEqual([followed.told, followed.texts], [['reset'], rest]);
    const { resumeAt } = followed.gaps[0] ?? assert.fail();
    assert.equal(resumeAt.id, kept);
    await this.append('more');
    const again = await followToEnd(log, channel, resumeAt);
    assert.deepEqual([again.told, again.texts], [[], [...rest, 'more']]);
  }

  #run(script: string, ...args: string[]): Promise<string> {
    return server.cli('EVAL', script, '2', this.#key, `{${this.#key}}:meta`, ...args);
  }
}

test('what was kept, but never delivered here, is not sent again', async (t) => {
  const scene = await Scene.set(t);
  await scene.append('a');
  await scene.deliver(START, 1);
  const [b] = (await scene.append('b')) as [EntryId];
  await scene.copy();
  await scene.append('c', 'd');
  const lost = await scene.tip();
  await scene.failOver();
  await scene.resumes(lost, b, []);
});

test('nor is it when what came later had been delivered here', async (t) => {
  const scene = await Scene.set(t);
  await scene.append('a');
  await scene.deliver(START, 1);
  const [b] = (await scene.append('b')) as [EntryId];
  await scene.copy();
  await scene.append('c');
  const late = await scene.tip();
  await scene.append('d');
  const lost = await scene.deliver(late, 1);
  await scene.failOver();
  await scene.resumes(lost, b, []);
});

test('what was kept and then deleted by name is not lost once more', async (t) => {
  const scene = await Scene.set(t);
  const ids = await scene.append('a', 'b', 'c');
  const c = ids[2] as EntryId;
  await scene.deliver(START, 3);
  await scene.delete(c);
  await scene.copy();
  const before = await scene.tip();
  await scene.append('d');
  const lost = await scene.deliver(before, 1);
  await scene.failOver();
  await scene.resumes(lost, c, []);
});

test('nor is it when something new follows it', async (t) => {
  const scene = await Scene.set(t);
  const ids = await scene.append('a', 'b', 'c');
  const c = ids[2] as EntryId;
  await scene.deliver(START, 3);
  await scene.delete(c);
  await scene.copy();
  const before = await scene.tip();
  await scene.append('d');
  const lost = await scene.deliver(before, 1);
  await scene.failOver();
  const other = await openLog(t, server.url);
  await other.append(scene.channel, texts('e'));
  await scene.resumes(lost, c, ['e']);
});

test('what came in place of what was lost, under ids before it, is not skipped', async (t) => {
  const scene = await Scene.set(t);
  await scene.append('a', 'b');
  const b = await scene.tip();
  await scene.copy();
  await scene.append('c', 'd');
  const lost = await scene.deliver(START, 4);
  await scene.failOver();
  const [ms, seq] = b.id.split('-').map(Number) as [number, number];
  const ids = [1, 2].map((step) => `${ms}-${seq + step}`) as [EntryId, EntryId];
  await scene.write(ids[0], 'x', b.id, '3');
  await scene.write(ids[1], 'y', ids[0], '4');
  await scene.resumes(lost, b.id, ['x', 'y']);
});
