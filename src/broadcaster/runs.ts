/**
 * What one write carries: from a subscriber's place up to a number of bytes, ending with a whole unit of its
 * format. One block is written as it is; several small ones are put together once, and every subscriber at the
 * same place writes the same bytes.
 *
 * The size of a write decides throughput: on loopback 16 KiB writes move about a quarter of what 256 KiB
 * writes do, and one write costs 7 to 10 µs however small it is.
 */
import type { Cursor } from '../protocol/cursor.ts';
import type { Block, GapMark } from './block.ts';
import { type Encoding, type Format, firstEntry, unitOf, unitStart } from './format.ts';
import type { Place, Source } from './ring.ts';

export interface Run {
  readonly kind: 'run';
  readonly bytes: Buffer;
  /** The cursor and the place after the run. */
  readonly end: Cursor;
  readonly next: Place;
  /** What it counts of a turn, in bytes: for who made it, also the work that took. */
  readonly weight: number;
  /** How many entries it carries. */
  readonly entries: number;
}

/** How a run is to be made. */
export interface RunShape {
  readonly format: Format;
  readonly maxBytes: number;
}

/** Runs made lately; more places than this are seldom busy at once, and each run is one write at most. */
const KEPT_RUNS = 8;
/** A run of small blocks is made in one go; beyond this much work the rest of them is left to the next one. */
const MAX_RUN_WORK = 64 * 1024;

interface KeptRun extends RunShape {
  readonly source: Source;
  readonly from: Place;
  readonly nextNo: number;
  readonly run: Run;
}

export class Runs {
  readonly #kept: KeptRun[] = [];
  #oldest = 0;

  /** The next step for a subscriber at this place; null at the end of the source. */
  next(source: Source, no: number, index: number, { format, maxBytes }: RunShape): Run | GapMark | null {
    for (const kept of this.#kept) {
      const { from } = kept;
      const same = from.no === no && from.index === index && kept.source === source;
      if (!same || kept.maxBytes !== maxBytes || kept.format !== format) continue;
      if (kept.nextNo === source.nextNo) return kept.run;
    }
    const item = source.item(no);
    if (item === undefined) return null;
    if (item.kind === 'gap') return item;
    const from = { no, index };
    const run = makeRun(source, item, from, { format, maxBytes });
    const weight = run.bytes.length;
    const shared = run.weight === weight ? run : { ...run, weight };
    this.#keep({ source, from, format, maxBytes, nextNo: source.nextNo, run: shared });
    return run;
  }

  /** Frees the kept bytes, when a source they came from is given up. */
  clear(): void {
    this.#kept.length = 0;
    this.#oldest = 0;
  }

  #keep(run: KeptRun): void {
    this.#kept[this.#oldest] = run;
    this.#oldest = (this.#oldest + 1) % KEPT_RUNS;
  }
}

function makeRun(source: Source, block: Block, from: Place, shape: RunShape): Run {
  const { format, maxBytes } = shape;
  const { encoding, work: spent } = encoded(block, format);
  const unit = unitOf(encoding, from.index);
  if (firstEntry(encoding, unit) !== from.index) return restOfUnit(block, from, shape, spent);
  const start = unitStart(encoding, unit);
  const left = encoding.bytes.length - start;
  if (left > maxBytes) return partOf(block, from, shape, spent);
  const parts = [start === 0 ? encoding.bytes : encoding.bytes.subarray(start)];
  let bytes = left;
  let work = spent;
  let end = block.end;
  let no = from.no + 1;
  let entries = block.ids.length - from.index;
  for (;;) {
    const item = source.item(no);
    if (item === undefined || item.kind === 'gap') break;
    if (work > MAX_RUN_WORK && !item.has(format)) break;
    const more = encoded(item, format);
    work += more.work;
    if (bytes + more.encoding.bytes.length > maxBytes) break;
    parts.push(more.encoding.bytes);
    bytes += more.encoding.bytes.length;
    end = item.end;
    entries += item.ids.length;
    no += 1;
  }
  const whole = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, bytes);
  return { kind: 'run', bytes: whole, end, next: { no, index: 0 }, weight: bytes + work, entries };
}

/** The block in the format, and the work that took: none when it was made before. */
function encoded(block: Block, format: Format): { readonly encoding: Encoding; readonly work: number } {
  const isMade = block.has(format);
  const encoding = block.encoded(format);
  return { encoding, work: isMade ? 0 : (encoding.work ?? 0) };
}

/** As many units of the block as fit, but at least one. */
function partOf(block: Block, from: Place, { format, maxBytes }: RunShape, work: number): Run {
  const encoding = block.encoded(format);
  const { bytes, unitEnds } = encoding;
  const first = unitOf(encoding, from.index);
  const start = unitStart(encoding, first);
  let to = first + 1;
  while (to < unitEnds.length && (unitEnds[to] as number) <= start + maxBytes) to += 1;
  return runTo(block, from, firstEntry(encoding, to), {
    bytes: bytes.subarray(start, unitEnds[to - 1]),
    work,
  });
}

/** For who starts inside a unit, the rest of it is encoded apart; after that it shares what all others write. */
function restOfUnit(block: Block, from: Place, { format }: RunShape, spent: number): Run {
  const encoding = block.encoded(format);
  const to = firstEntry(encoding, unitOf(encoding, from.index) + 1);
  const { bytes, work = 0 } = format.encode(block, from.index, to);
  return runTo(block, from, to, { bytes, work: spent + work });
}

/** The run that ends before entry `to` of the block. */
function runTo(
  block: Block,
  from: Place,
  to: number,
  { bytes, work }: { readonly bytes: Buffer; readonly work: number },
): Run {
  const whole = to === block.ids.length;
  return {
    kind: 'run',
    bytes,
    end: block.cursorAt(to - 1),
    next: whole ? { no: from.no + 1, index: 0 } : { no: from.no, index: to },
    weight: bytes.length + work,
    entries: to - from.index,
  };
}
