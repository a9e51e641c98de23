/** The look at the log's file, on files put together by hand: trees that LMDB would not make, or only with much data. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { checkFile } from '../../src/log/embedded/file-check.ts';
import { tempDir } from '../support/temp-dir.ts';
import { within } from '../support/within.ts';

const FILE_CHECK = new URL('../../src/log/embedded/file-check.js', import.meta.url).href;
const PAGE = 4096;
const HEADER = 24;
const NODE = 8;
const META = 0x08;
const BRANCH = 0x01;
const LEAF = 0x02;
const TREE = 0x02;
const NO_PAGE = 2n ** 64n - 1n;

interface Tree {
  readonly depth: number;
  readonly root: number;
}

/** A first or second page; the tree of free pages is empty. */
function metaPage(number: number, main: Tree, pages: number): Buffer {
  const page = Buffer.alloc(PAGE);
  page.writeBigUInt64LE(BigInt(number), 0);
  page.writeUInt16LE(META, 18);
  page.writeUInt32LE(0xbeefc0de, 24);
  page.writeUInt32LE(2, 28);
  page.writeUInt32LE(PAGE, 48);
  page.writeBigUInt64LE(NO_PAGE, 48 + 40);
  treeBytes(main).copy(page, 96);
  page.writeBigUInt64LE(BigInt(pages - 1), 144);
  return page;
}

function treeBytes({ depth, root }: Tree): Buffer {
  const bytes = Buffer.alloc(48);
  bytes.writeUInt16LE(depth, 6);
  bytes.writeBigUInt64LE(BigInt(root), 40);
  return bytes;
}

/** `places` of one node, which lies at the end of the page. */
function page(number: number, flags: number, places: number, node: Buffer): Buffer {
  const bytes = Buffer.alloc(PAGE);
  bytes.writeBigUInt64LE(BigInt(number), 0);
  bytes.writeUInt16LE(flags, 18);
  bytes.writeUInt16LE(2 * places, 20);
  const at = PAGE - HEADER - node.length;
  bytes.writeUInt16LE(at, 22);
  for (let i = 0; i < places; i++) bytes.writeUInt16LE(at, HEADER + 2 * i);
  node.copy(bytes, HEADER + at);
  return bytes;
}

/** An inner page that names the same child so many times. */
function innerPage(number: number, child: number, places: number): Buffer {
  const node = Buffer.alloc(NODE);
  node.writeUInt32LE(child, 0);
  return page(number, BRANCH, places, node);
}

/** A file of so many pages: page 2 holds a tree that begins at page 3, where `inner` begins too. */
async function fileOf(
  t: TestContext,
  depth: number,
  pages: number,
  inner: readonly Buffer[],
): Promise<string> {
  const dataDir = await tempDir(t);
  const node = Buffer.concat([Buffer.from([0, 0, 0, 0, TREE, 0, 0, 0]), treeBytes({ depth, root: 3 })]);
  const main = { depth: 1, root: 2 };
  const head = [metaPage(0, main, pages), metaPage(1, main, pages), page(2, LEAF, 1, node)];
  const path = join(dataDir, 'data.mdb');
  await writeFile(path, Buffer.concat([...head, ...inner]));
  // What is behind takes no room on the disk.
  await truncate(path, pages * PAGE);
  return dataDir;
}

test('two million pages of entries are looked at in the memory that a few of them take', async (t) => {
  const inner = [innerPage(3, 4, 1000), innerPage(4, 5, 2000)];
  const dataDir = await fileOf(t, 3, 2_010_000, inner);
  const script = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.module).then(async ({ checkFile }) => {
      parentPort.postMessage(await checkFile(workerData.dataDir));
    });
  `;
  const worker = new Worker(script, {
    eval: true,
    workerData: { module: FILE_CHECK, dataDir },
    // Their numbers alone would take 60 MiB.
    resourceLimits: { maxOldGenerationSizeMb: 24 },
  });
  t.after(() => worker.terminate());
  assert.deepEqual(await within('the file to be looked at', once(worker, 'message')), [true]);
});

test('a tree that leads back to itself is damage, and is not followed for ever', async (t) => {
  const dataDir = await fileOf(t, 32, 10, [innerPage(3, 3, 2)]);
  await assert.rejects(checkFile(dataDir), /is damaged: the trees in it have more pages than the file/);
});

test('a page of entries that an inner page names, and that is not there, is damage', async (t) => {
  const dataDir = await fileOf(t, 2, 10, [innerPage(3, 10, 2)]);
  await assert.rejects(checkFile(dataDir), /is damaged: page 10 is said to be in use, and there is none/);
});
