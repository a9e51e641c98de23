/**
 * What others do to a stream, what a client forges, and what time does, for each form of cursor: at the process
 * that had followed the channel, at one that never saw it, and for a follower that waits.
 */
import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { RedisLog } from '../../src/log/redis.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import { openLog, ownChannel, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { FORMS, followLive, followTo, followToEnd, inForm } from './follow.ts';

const ASKED = ['lived', 'fresh'] as const;

let server: RedisServer;

before(async () => {
  server = await RedisServer.start();
});

after(async () => {
  await server[Symbol.asyncDispose]();
});

interface Channel {
  readonly channel: string;
  readonly key: string;
  readonly lived: RedisLog;
  readonly fresh: RedisLog;
  /** After each of `a b c d`, as the process `lived` delivered them. */
  readonly cursors: readonly Cursor[];
}

/** `a b c d`, ours, or somebody else's. */
async function prepare(t: TestContext, { foreign = false }: { foreign?: boolean } = {}): Promise<Channel> {
  const lived = await openLog(t, server.url, { deadlines: { checkMs: 50 } });
  const { channel, key } = ownChannel();
  if (foreign) for (const text of ['a', 'b', 'c', 'd']) await server.cli('XADD', key, '*', 'm', text);
  // In batches: what is known of the channel is to be what the last of them made of it.
  else for (const batch of [texts('a', 'b'), texts('c', 'd')]) await lived.append(channel, batch);
  const { entries, end } = await followLive(lived, channel, START, 4);
  const cursors = entries.map(({ id, ordinal }) => ({ id, epoch: end.epoch, ordinal }));
  return { channel, key, lived, fresh: await openLog(t, server.url), cursors };
}

/** Each does something after which nothing of the old history is there, and returns what is. */
const REPLACED: Record<string, (at: Channel) => Promise<string[]>> = {
  deleted: async ({ key }) => {
    await server.cli('DEL', key);
    return [];
  },
  'deleted with all that lies beside it': async ({ key }) => {
    await server.cli('DEL', key, `{${key}}:meta`);
    return [];
  },
  'deleted, and written to by us': async ({ key, channel, fresh }) => {
    await server.cli('DEL', key);
    await fresh.append(channel, texts('x', 'y'));
    return ['x', 'y'];
  },
  'made anew by somebody else, with later ids': async ({ key }) => {
    await server.cli('DEL', key);
    await server.cli('XADD', key, '*', 'm', 'x');
    return ['x'];
  },
  'made anew by somebody else, with earlier ids': async ({ key }) => {
    await server.cli('DEL', key);
    await server.cli('XADD', key, '1-1', 'm', 'x');
    return ['x'];
  },
  'made anew by somebody else, and then written to by us': async ({ key, channel, fresh }) => {
    await server.cli('DEL', key);
    await server.cli('XADD', key, '1-1', 'm', 'x');
    await fresh.append(channel, texts('y'));
    return ['x', 'y'];
  },
};

for (const [how, replace] of Object.entries(REPLACED)) {
  describe(`a stream ${how}`, () => {
    test('is a reset for one who waits, and then all it holds', async (t) => {
      const at = await prepare(t);
      const [, , , last] = at.cursors as [Cursor, Cursor, Cursor, Cursor];
      const expected = [...(await replace(at)), 'more'];
      const live = followLive(at.lived, at.channel, last, expected.length);
      await at.fresh.append(at.channel, texts('more'));
      const { told, texts: delivered } = await live;
      assert.deepEqual([told, delivered], [['reset'], expected]);
    });

    for (const asked of ASKED) {
      for (const form of FORMS) {
        test(`is a reset for ${form} at a process that ${asked === 'lived' ? 'saw it' : 'did not see it'}`, async (t) => {
          const at = await prepare(t);
          const expected = await replace(at);
          const {
            told,
            texts: delivered,
            end,
          } = await followToEnd(at[asked], at.channel, inForm(at.cursors[2] as Cursor, form));
          // A stranger with a plain id can only say that something before somebody else's entry is missing.
          const isVague = form === 'a plain id' && asked === 'fresh' && told[0] === 'trimmed ?';
          assert.deepEqual(told, [isVague ? 'trimmed ?' : 'reset']);
          // A plain id names no history to begin from: it goes on where it is.
          if (form !== 'a plain id') assert.deepEqual(delivered, expected);
          await at.fresh.append(at.channel, texts('more'));
          const rest = await followToEnd(at[asked], at.channel, end);
          assert.deepEqual([rest.told, rest.texts], [[], ['more']]);
        });
      }
    }
  });
}

describe('a foreign stream that was deleted before its first entry of ours', () => {
  test('is a reset for one who waits, though no epoch tells of it', async (t) => {
    const at = await prepare(t, { foreign: true });
    await server.cli('DEL', at.key);
    await at.fresh.append(at.channel, texts('x', 'y', 'z', 'u', 'v'));
    await at.fresh.trim(at.channel, { maxEntries: 1 });
    const { told, texts: delivered } = await followLive(at.lived, at.channel, at.cursors[3] as Cursor, 1);
    assert.equal(told[0], 'reset');
    assert.deepEqual(delivered, ['v']);
  });
});

describe('what was removed from a stream', () => {
  for (const form of FORMS) {
    test(`is counted for ${form}, by name`, async (t) => {
      const { channel, key, lived, cursors } = await prepare(t);
      const [a, b, c] = cursors as [Cursor, Cursor, Cursor];
      await server.cli('XDEL', key, b.id, c.id);
      const { told, texts: delivered } = await followToEnd(lived, channel, inForm(a, form));
      assert.deepEqual([told, delivered], [['deleted 2'], ['d']]);
    });

    test(`is counted for ${form}, when it was the end`, async (t) => {
      const { channel, key, lived, cursors } = await prepare(t);
      const [, b, c, d] = cursors as [Cursor, Cursor, Cursor, Cursor];
      await server.cli('XDEL', key, c.id, d.id);
      const { told, end } = await followToEnd(lived, channel, inForm(b, form));
      assert.deepEqual([told, end.id], [['deleted 2'], d.id]);
    });

    test(`is told to ${form} among entries that somebody else wrote`, async (t) => {
      const { channel, key, lived, cursors } = await prepare(t, { foreign: true });
      const [a, b] = cursors as [Cursor, Cursor];
      await server.cli('XDEL', key, b.id);
      const { told, texts: delivered } = await followToEnd(lived, channel, inForm(a, form));
      assert.deepEqual([told, delivered], [['deleted ?'], ['c', 'd']]);
    });

    test(`leaves ${form} at the tip good, though nothing is left, and after a restart of Redis`, async (t) => {
      await using own = await RedisServer.start('--appendonly', 'yes');
      const log = await openLog(t, own.url);
      await log.append('local-q', texts('a', 'b'));
      const end = inForm((await followLive(log, 'local-q', START, 2)).end, form);
      await log.trim('local-q', { maxEntries: 0 });
      assert.deepEqual((await followToEnd(log, 'local-q', end)).told, []);
      await own.cli('BGREWRITEAOF');
      await own.stop();
      await own.restart();
      const fresh = await openLog(t, own.url);
      await fresh.append('local-q', texts('c'));
      for (const at of [log, fresh]) {
        const { told, texts: delivered } = await followToEnd(at, 'local-q', end);
        assert.deepEqual([told, delivered], [[], ['c']]);
      }
      await Promise.all([log.close(), fresh.close()]);
    });
  }

  test('after the last entry delivered is counted for one who waits', async (t) => {
    const { channel, lived, fresh, cursors } = await prepare(t);
    await fresh.append(channel, texts('e', 'f', 'g'));
    await fresh.trim(channel, { maxEntries: 1 });
    const { tip } = await fresh.bounds(channel);
    const { told, texts: delivered } = await followTo(lived, channel, cursors[3] as Cursor, tip);
    assert.deepEqual([told, delivered], [['trimmed 2'], ['g']]);
  });
});

for (const gone of ['deleted by name', 'trimmed'] as const) {
  test(`a new epoch begins after the last entry that is the same, over others ${gone}`, async (t) => {
    const { channel, key, lived, cursors } = await prepare(t);
    await lived.append(channel, texts('e', 'f', 'g', 'h'));
    const { end, entries } = await followLive(lived, channel, cursors[3] as Cursor, 4);
    if (gone === 'trimmed') await lived.trim(channel, { maxEntries: 3 });
    else await server.cli('XDEL', key, entries[0]?.id as string);
    // The last entry is another one now; those before it were delivered, and are not to come again.
    const swap = `
      local kept = redis.call('XRANGE', KEYS[1], '-', '+')
      redis.call('DEL', KEYS[1])
      for i = 1, #kept - 1 do redis.call('XADD', KEYS[1], kept[i][1], unpack(kept[i][2])) end
      redis.call('XADD', KEYS[1], kept[#kept][1], 'data', 'x', 'p', kept[#kept - 1][1], 'n', 8)
      redis.call('XSETID', KEYS[1], kept[#kept][1], 'ENTRIESADDED', 8, 'MAXDELETEDID', '0-0')`;
    await server.cli('EVAL', swap, '1', key);
    const { told, texts: delivered } = await followToEnd(lived, channel, end);
    assert.deepEqual([told, delivered], [['reset'], ['x']]);
  });
}

test('a forged cursor is told a gap itself, and changes nothing for anybody else', async (t) => {
  const { channel, key, lived, fresh, cursors } = await prepare(t);
  const { id, epoch } = cursors[3] as Cursor;
  const forged: Cursor[] = [
    { id: '99999999999999-0', epoch: null, ordinal: null },
    { id: '99999999999999-0', epoch, ordinal: 9 },
    { id, epoch: 'forged', ordinal: 4 },
    { id: '5-5', epoch, ordinal: 999 },
    { id: `${id}7`, epoch, ordinal: 1 },
  ];
  for (const log of [lived, fresh]) {
    for (const cursor of forged) assert.ok((await followToEnd(log, channel, cursor)).told.length === 1);
    for (const cursor of cursors) assert.deepEqual((await followToEnd(log, channel, cursor)).told, []);
  }
  assert.equal(await server.cli('HGET', `{${key}}:meta`, 'epoch'), epoch);
});
