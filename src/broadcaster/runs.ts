/**
 * What one write carries: the frames from a subscriber's place up to a number of bytes, ending with a whole
 * frame. One block is written as it is; several small ones are put together once, and every subscriber at the
 * same place writes the same bytes.
 *
 * The size of a write decides throughput: on loopback 16 KiB writes move about a quarter of what 256 KiB
 * writes do, and one write costs 7 to 10 µs however small it is.
 */
import type { Cursor } from '../protocol/cursor.ts';
import { type Block, cursorInside, frameStart, framesOf, type GapMark } from './block.ts';
import type { Place, Source } from './ring.ts';

export interface Run {
  readonly kind: 'run';
  readonly bytes: Buffer;
  /** The cursor and the place after the run. */
  readonly end: Cursor;
  readonly next: Place;
}

/** Runs made lately; more places than this are seldom busy at once, and each run is one write at most. */
const KEPT_RUNS = 8;

interface KeptRun {
  readonly source: Source;
  readonly from: Place;
  readonly maxBytes: number;
  readonly nextNo: number;
  readonly run: Run;
}

export class Runs {
  readonly #kept: KeptRun[] = [];
  #oldest = 0;

  /** The next step for a subscriber at this place; null at the end of the source. */
  next(source: Source, no: number, index: number, maxBytes: number): Run | GapMark | null {
    for (const kept of this.#kept) {
      const { from } = kept;
      const same = from.no === no && from.index === index && kept.source === source;
      if (same && kept.maxBytes === maxBytes && kept.nextNo === source.nextNo) return kept.run;
    }
    const item = source.item(no);
    if (item === undefined) return null;
    if (item.kind === 'gap') return item;
    const from = { no, index };
    const run = makeRun(source, item, from, maxBytes);
    this.#keep({ source, from, maxBytes, nextNo: source.nextNo, run });
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

function makeRun(source: Source, block: Block, from: Place, maxBytes: number): Run {
  const left = block.frames.length - frameStart(block, from.index);
  if (left > maxBytes) return partOf(block, from, maxBytes);
  const parts = [framesOf(block, from.index, block.ids.length)];
  let bytes = left;
  let end = block.end;
  let no = from.no + 1;
  for (;;) {
    const item = source.item(no);
    if (item === undefined || item.kind === 'gap' || bytes + item.frames.length > maxBytes) break;
    parts.push(item.frames);
    bytes += item.frames.length;
    end = item.end;
    no += 1;
  }
  const whole = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, bytes);
  return { kind: 'run', bytes: whole, end, next: { no, index: 0 } };
}

/** As many frames of the block as fit, but at least one. */
function partOf(block: Block, from: Place, maxBytes: number): Run {
  const limit = frameStart(block, from.index) + maxBytes;
  let to = from.index + 1;
  while (to < block.ids.length && (block.frameEnds[to] as number) <= limit) to += 1;
  const whole = to === block.ids.length;
  return {
    kind: 'run',
    bytes: framesOf(block, from.index, to),
    end: cursorInside(block, to - 1),
    next: whole ? { no: from.no + 1, index: 0 } : { no: from.no, index: to },
  };
}
