/** A file of the embedded log that is not what it should be: a line that says so, and never a signal. */
import assert from 'node:assert/strict';
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import { FROM_ZERO, readAll, texts } from '../contract/log/support.ts';
import { runCli } from '../support/cli.ts';
import { tempDir } from '../support/temp-dir.ts';

function openLog(dataDir: string): Promise<EmbeddedLog> {
  return EmbeddedLog.open({ dataDir, clock: systemClock, retention: () => DEFAULT_RETENTION });
}

const PAGE = 4096;

/** A store with inner pages, values on pages of their own, and keys. */
async function storeToBreak(t: TestContext): Promise<{ dataDir: string; path: string; pages: number }> {
  const dataDir = await tempDir(t);
  const log = await openLog(dataDir);
  for (let i = 0; i < 20; i++) {
    const entries = Array.from({ length: 50 }, (_, k) => ({
      type: 'text' as const,
      data: Buffer.alloc((k * 97) % 6000, 'x'),
      key: `key ${i} ${k}`,
    }));
    await log.append('c', entries);
  }
  await log.close();
  const path = join(dataDir, 'data.mdb');
  return { dataDir, path, pages: (await stat(path)).size / PAGE };
}

async function overwrite(path: string, at: number, bytes: Buffer): Promise<void> {
  const all = await readFile(path);
  bytes.copy(all, at);
  await writeFile(path, all);
}

const GARBAGE = Buffer.alloc(PAGE, 0xab);
const ZEROS = Buffer.alloc(PAGE);

type Break = (path: string, pages: number) => Promise<void>;

const BREAKS: Readonly<Record<string, { readonly how: Break; readonly says: RegExp }>> = {
  'cut off in the middle': {
    how: (path, pages) => truncate(path, Math.floor(pages / 2) * PAGE),
    says: /it ends after \d+ bytes, before page \d+, which is in use/,
  },
  'cut off by a page': {
    how: (path, pages) => truncate(path, (pages - 1) * PAGE),
    says: /it ends after \d+ bytes, before page \d+, which is in use/,
  },
  'cut off in its second page': { how: (path) => truncate(path, 5000), says: /it ends after 5000 bytes/ },
  'cut off in its first page': { how: (path) => truncate(path, 100), says: /it ends after 100 bytes/ },
  'some other file': {
    how: (path) => writeFile(path, 'not a log '.repeat(2000)),
    says: /its first page is not that of an LMDB file/,
  },
  'its first page overwritten': {
    how: (path) => overwrite(path, 0, ZEROS),
    says: /its first page is not that of an LMDB file/,
  },
  'its second page overwritten': {
    how: (path) => overwrite(path, PAGE, GARBAGE),
    says: /its second page is not that of an LMDB file/,
  },
  'both of its first pages overwritten': {
    how: (path) => overwrite(path, 0, Buffer.concat([GARBAGE, GARBAGE])),
    says: /its first page is not that of an LMDB file/,
  },
  'of another version of LMDB': {
    how: (path) => overwrite(path, 28, Buffer.from([9])),
    says: /its first page is of LMDB format 9, not 2/,
  },
  'all pages but the first two overwritten': {
    how: (path, pages) => overwrite(path, 2 * PAGE, Buffer.alloc((pages - 2) * PAGE, 0xab)),
    says: /its page \d+ is not what it should be/,
  },
  'its trees gone astray': {
    // The roots of both trees of both first pages.
    how: async (path) => {
      for (const at of [48 + 40, 96 + 40]) {
        await overwrite(path, at, Buffer.alloc(6, 0x11));
        await overwrite(path, PAGE + at, Buffer.alloc(6, 0x11));
      }
    },
    says: /page \d+ is said to be in use, and there is none/,
  },
};

for (const [what, { how, says }] of Object.entries(BREAKS)) {
  test(`a log file that is damaged, ${what}: one line that says so, exit code 1`, async (t) => {
    const { dataDir, path, pages } = await storeToBreak(t);
    await how(path, pages);
    const before = await readFile(path);
    const { code, stderr } = await runCli(t, { env: { PORT: '0', DATA_DIR: dataDir } });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^rivercast: the log \S+data\.mdb is damaged: .*Put a backup .*\n$/);
    assert.match(stderr, says);
    assert.ok(before.equals(await readFile(path)), 'nothing was written to it');
  });
}

for (const how of ['gone', 'empty'] as const) {
  test(`a log file that is ${how}: an empty log, and whoever comes back is told reset`, async (t) => {
    const dataDir = await tempDir(t);
    const log = await openLog(dataDir);
    await log.append('c', [{ type: 'text', data: Buffer.from('lost') }]);
    const { tip, epoch, tipOrdinal } = await log.bounds('c');
    await log.close();
    const path = join(dataDir, 'data.mdb');
    if (how === 'gone') await rm(path);
    else await truncate(path, 0);
    const again = await openLog(dataDir);
    t.after(() => again.close());
    await again.append('c', [{ type: 'text', data: Buffer.from('new') }]);
    const { entries, gaps } = await readAll(again, 'c', { id: tip, epoch, ordinal: tipOrdinal });
    assert.deepEqual([gaps.map(({ reason }) => reason), texts(entries)], [['reset'], ['new']]);
  });
}

test('a log file that ends before its last page is whole as long as nothing in use lies behind its end', async (t) => {
  const dataDir = await tempDir(t);
  const log = await openLog(dataDir);
  const big = Array.from({ length: 300 }, () => ({ type: 'text' as const, data: Buffer.alloc(6000, 'x') }));
  await log.append('big', big);
  await log.trim('big', { maxEntries: 0 });
  // What is in use moves to pages that are free by now.
  for (let i = 0; i < 3; i++) await log.append('c', [{ type: 'text', data: Buffer.from(String(i)) }]);
  await log.close();
  const bytes = await readFile(join(dataDir, 'data.mdb'));
  const cutDir = await tempDir(t);
  const isWhole = async (cut: number): Promise<boolean> => {
    await writeFile(join(cutDir, 'data.mdb'), bytes.subarray(0, bytes.length - cut * PAGE));
    const again = await openLog(cutDir).catch((error: unknown) => error);
    if (!(again instanceof EmbeddedLog)) {
      assert.match(String(again), /before page \d+, which is in use/);
      return false;
    }
    assert.deepEqual(texts((await readAll(again, 'c', FROM_ZERO)).entries), ['0', '1', '2']);
    await again.close();
    return true;
  };
  // By some pages at a time, and where that is too much by single ones.
  let cut = 0;
  for (const step of [16, 1]) while (await isWhole(cut + step)) cut += step;
  assert.ok(cut > 0, 'there are free pages at the end');
});
