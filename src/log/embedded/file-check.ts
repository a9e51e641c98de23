/**
 * Looks at the file of the embedded log before LMDB does: LMDB trusts it, maps it into memory, and takes the
 * process down with a signal when it is cut off or is no such file. What is read here is the layout of lmdb 3.5 (data
 * version 2; `MDB_meta`, `MDB_db`, `MDB_page` and `MDB_node` in its mdb.c), numbers in the machine's order:
 *
 *   page     number u64 | transaction u64 | u16 | flags u16 | lower u16 | upper u16 | places of nodes u16 …
 *   meta     (pages 0 and 1) page header | magic u32 | version u32 | u64 | u64 | tree of free pages | main tree | last page u64 | transaction u64
 *   tree     page size u32 (of the first tree) | u16 | depth u16 | u64 × 4 | root u64
 *   node     low u16 | high u16 | flags u16 | key length u16 | key | value, or the number of the page it is on
 *
 * All inner pages of all trees are read. The file may end before its last page, when that one is free: then
 * leaves are read too, to know whether anything that is used lies behind the end.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { StartError } from '../../errors.ts';

const FILE = 'data.mdb';
const MAGIC = 0xbeefc0de;
const VERSION = 2;
const PAGE_HEADER_BYTES = 24;
const META_BYTES = 168;
const TREE_BYTES = 48;
const NODE_HEADER_BYTES = 8;
const PAGE_SIZES = [4096, 8192, 16_384, 32_768, 65_536];
const BRANCH = 0x01;
const LEAF = 0x02;
const META = 0x08;
/** Of a node: its value lies on pages of its own, or is a tree. */
const BIG = 0x01;
const TREE = 0x02;
/** The root of an empty tree. */
const NO_PAGE = 2n ** 64n - 1n;
/** What LMDB can follow. */
const MAX_DEPTH = 32;

interface Tree {
  readonly depth: number;
  readonly root: bigint;
}

interface Meta {
  readonly pageSize: number;
  readonly transaction: bigint;
  readonly lastPage: bigint;
  readonly trees: readonly [free: Tree, main: Tree];
}

/** What is wrong with the file, in words that go on from "its". */
class Damage extends Error {}

/** Whether the directory holds a log. Throws a StartError when it must not be opened. */
export async function checkFile(dataDir: string): Promise<boolean> {
  const path = join(dataDir, FILE);
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw new StartError(`cannot read the log ${path}: ${String(error)}`, 1, { cause: error });
  }
  try {
    // Made by a server that was killed before it wrote anything.
    const { size } = await file.stat();
    if (size > 0 && endianness() === 'LE') await new FileCheck(file, size).run();
    return size > 0;
  } catch (error) {
    if (!(error instanceof Damage)) {
      throw new StartError(`cannot read the log ${path}: ${String(error)}`, 1, { cause: error });
    }
    throw new StartError(
      `the log ${path} is damaged: ${error.message}. Put a backup of the directory in its place, or move it away to begin an empty log.`,
    );
  } finally {
    await file.close();
  }
}

class FileCheck {
  readonly #file: FileHandle;
  readonly #size: number;
  #pageSize = 0;
  #pages = 0n;
  /** Pages of trees, as far as they were followed. */
  #used = 0;
  /** Whether the file ends before its last page. */
  #isShort = false;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  async run(): Promise<void> {
    const first = await this.#meta(0, 0);
    const second = await this.#meta(1, first.pageSize);
    const { pageSize, lastPage, trees } = first.transaction >= second.transaction ? first : second;
    this.#pageSize = pageSize;
    this.#pages = BigInt(Math.floor(this.#size / pageSize));
    this.#isShort = this.#pages <= lastPage;
    const [free, main] = trees;
    await this.#walk(free, false);
    await this.#walk(main, true);
  }

  async #meta(number: number, position: number): Promise<Meta> {
    const bytes = await this.#read(position, META_BYTES);
    const name = number === 0 ? 'first' : 'second';
    if (bytes.readUInt32LE(24) !== MAGIC || (bytes.readUInt16LE(18) & META) === 0) {
      throw new Damage(`its ${name} page is not that of an LMDB file`);
    }
    const version = bytes.readUInt16LE(28);
    if (version !== VERSION) {
      throw new Damage(`its ${name} page is of LMDB format ${version}, not ${VERSION}`);
    }
    const meta: Meta = {
      pageSize: bytes.readUInt32LE(48),
      transaction: bytes.readBigUInt64LE(152),
      lastPage: bytes.readBigUInt64LE(144),
      trees: [treeAt(bytes, 48), treeAt(bytes, 96)],
    };
    if (!PAGE_SIZES.includes(meta.pageSize)) throw new Damage(`its ${name} page tells a wrong page size`);
    return meta;
  }

  async #walk({ root, depth }: Tree, mayHoldTrees: boolean): Promise<void> {
    if (root === NO_PAGE) return;
    if (depth > MAX_DEPTH) throw new Damage('a tree in it is too deep');
    this.#use(root);
    await this.#descend({ root, depth }, mayHoldTrees);
  }

  /**
   * Depth first, so that only one way down is kept: 100 GiB are 26 million leaves. They are read when they may
   * hold trees, or be cut off with what belongs to them.
   */
  async #descend({ root, depth }: Tree, mayHoldTrees: boolean): Promise<void> {
    const areLeavesRead = mayHoldTrees || this.#isShort;
    if (depth <= 1) {
      if (areLeavesRead) await this.#leaf(root, mayHoldTrees);
      return;
    }
    for (const child of childrenOf(await this.#page(root, BRANCH))) {
      this.#use(child);
      if (depth > 2 || areLeavesRead) await this.#descend({ root: child, depth: depth - 1 }, mayHoldTrees);
    }
  }

  /** Each page belongs to one tree, once: whatever leads back is found as there are too many. */
  #use(number: bigint): void {
    this.#assertInside(number);
    this.#used += 1;
    if (this.#used > this.#pages) throw new Damage('the trees in it have more pages than the file');
  }

  async #leaf(number: bigint, mayHoldTrees: boolean): Promise<void> {
    const page = await this.#page(number, LEAF);
    for (const at of nodesOf(page)) {
      const flags = page.readUInt16LE(at + 4);
      const value = at + NODE_HEADER_BYTES + page.readUInt16LE(at + 6);
      if ((flags & BIG) !== 0) {
        const length = page.readUInt32LE(at);
        const pages = Math.ceil((PAGE_HEADER_BYTES + length) / this.#pageSize);
        this.#assertInside(page.readBigUInt64LE(value) + BigInt(pages - 1));
      } else if (mayHoldTrees && (flags & TREE) !== 0) {
        if (value + TREE_BYTES > page.length) throw new Damage(`its page ${number} is not whole`);
        await this.#walk(treeAt(page, value), false);
      }
    }
  }

  async #page(number: bigint, kind: number): Promise<Buffer> {
    const page = await this.#read(Number(number) * this.#pageSize, this.#pageSize);
    const isRight = page.readBigUInt64LE(0) === number && (page.readUInt16LE(18) & (BRANCH | LEAF)) === kind;
    if (!isRight || !hasOrder(page)) throw new Damage(`its page ${number} is not what it should be`);
    return page;
  }

  #assertInside(number: bigint): void {
    if (number < this.#pages) return;
    throw new Damage(
      this.#isShort
        ? `it ends after ${this.#size} bytes, before page ${number}, which is in use`
        : `page ${number} is said to be in use, and there is none`,
    );
  }

  async #read(position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await this.#file.read(bytes, 0, length, position);
    if (bytesRead < length) throw new Damage(`it ends after ${this.#size} bytes`);
    return bytes;
  }
}

function treeAt(bytes: Buffer, at: number): Tree {
  return { depth: bytes.readUInt16LE(at + 6), root: bytes.readBigUInt64LE(at + 40) };
}

/** Whether places and nodes lie within the page. */
function hasOrder(page: Buffer): boolean {
  const lower = page.readUInt16LE(20);
  const upper = page.readUInt16LE(22);
  const room = page.length - PAGE_HEADER_BYTES;
  if (lower % 2 !== 0 || lower > upper || upper > room) return false;
  return nodesOf(page).every((at) => {
    if (at < PAGE_HEADER_BYTES + upper || at + NODE_HEADER_BYTES > page.length) return false;
    return at + NODE_HEADER_BYTES + page.readUInt16LE(at + 6) <= page.length;
  });
}

function nodesOf(page: Buffer): number[] {
  const count = page.readUInt16LE(20) / 2;
  return Array.from(
    { length: count },
    (_, i) => PAGE_HEADER_BYTES + page.readUInt16LE(PAGE_HEADER_BYTES + i * 2),
  );
}

function childrenOf(page: Buffer): bigint[] {
  return nodesOf(page).map(
    (at) => BigInt(page.readUInt32LE(at)) + (BigInt(page.readUInt16LE(at + 4)) << 32n),
  );
}
