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
import { type Format, firstEntry, unitOf, unitStart } from './format.ts';
import type { Place, Source } from './ring.ts';

export interface Run {
  readonly kind: 'run';
  readonly bytes: Buffer;
  /** The cursor and the place after the run. */
  readonly end: Cursor;
  readonly next: Place;
}

/** How a run is to be made. */
export interface RunShape {
  readonly format: Format;
  readonly maxBytes: number;
}

/** Runs made lately; more places than this are seldom busy at once, and each run is one write at most. */
const KEPT_RUNS = 8;

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
    this.#keep({ source, from, format, maxBytes, nextNo: source.nextNo, run });
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
  const encoding = block.encoded(format);
  const unit = unitOf(encoding, from.index);
  if (firstEntry(encoding, unit) !== from.index) return restOfUnit(block, from, shape);
  const start = unitStart(encoding, unit);
  const left = encoding.bytes.length - start;
  if (left > maxBytes) return partOf(block, from, shape);
  const parts = [start === 0 ? encoding.bytes : encoding.bytes.subarray(start)];
  let bytes = left;
  let end = block.end;
  let no = from.no + 1;
  for (;;) {
    const item = source.item(no);
    if (item === undefined || item.kind === 'gap') break;
    const more = item.encoded(format).bytes;
    if (bytes + more.length > maxBytes) break;
    parts.push(more);
    bytes += more.length;
    end = item.end;
    no += 1;
  }
  const whole = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, bytes);
  return { kind: 'run', bytes: whole, end, next: { no, index: 0 } };
}

/** As many units of the block as fit, but at least one. */
function partOf(block: Block, from: Place, { format, maxBytes }: RunShape): Run {
  const encoding = block.encoded(format);
  const { bytes, unitEnds } = encoding;
  const first = unitOf(encoding, from.index);
  const start = unitStart(encoding, first);
  let to = first + 1;
  while (to < unitEnds.length && (unitEnds[to] as number) <= start + maxBytes) to += 1;
  return runTo(block, from, firstEntry(encoding, to), bytes.subarray(start, unitEnds[to - 1]));
}

/** For who starts inside a unit, the rest of it is encoded apart; after that it shares what all others write. */
function restOfUnit(block: Block, from: Place, { format }: RunShape): Run {
  const encoding = block.encoded(format);
  const to = firstEntry(encoding, unitOf(encoding, from.index) + 1);
  return runTo(block, from, to, format.encode(block, from.index, to).bytes);
}

/** The run that ends before entry `to` of the block. */
function runTo(block: Block, from: Place, to: number, bytes: Buffer): Run {
  const whole = to === block.ids.length;
  return {
    kind: 'run',
    bytes,
    end: block.cursorAt(to - 1),
    next: whole ? { no: from.no + 1, index: 0 } : { no: from.no, index: to },
  };
}
