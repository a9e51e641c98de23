/**
 * One page of history as JSON. It is made whole, so that a gap or a failing log is still told by the status,
 * and so that it has an ETag; therefore it is bounded by bytes as well.
 *
 * A gap at the beginning is told with the page. One further on ends the page before it: the next page, asked
 * for with this one's cursor, begins with it. So a page says at most one thing about what is missing, and none
 * is passed over.
 */
import { createHash } from 'node:crypto';
import type { Gap, Log } from '../../log/log.ts';
import { type Cursor, formatCursor } from '../../protocol/cursor.ts';
import type { EntryId } from '../../protocol/id.ts';
import { messageJson } from '../../protocol/message-json.ts';
import { gapJson, isRefused } from '../gap.ts';
import type { Answered } from './cache.ts';
import { cursorInside, type Entries, isReached, type Range, readRange } from './read.ts';
import type { HistoryAsk } from './request.ts';

/** Of encoded messages; a single larger one is a page of its own. */
const MAX_PAGE_BYTES = 8 * 1024 * 1024;

export interface HistoryPage extends Answered {
  readonly body: Buffer;
  /** The same for the same page of the same history; `tip` is left out. */
  readonly rangeTag: string;
  readonly bodyTag: string;
}

/** Gathers a page; `refused` when there is a gap that the reader does not want to pass. */
export async function readPage(
  log: Log,
  ask: HistoryAsk,
  range: Range,
  signal: AbortSignal,
): Promise<{ readonly page: HistoryPage } | { readonly refused: Gap }> {
  const draft = new Draft(ask.limit, range);
  for await (const piece of readRange(log, ask, range, signal)) {
    if (piece.kind === 'gap') {
      if (draft.count > 0 || draft.gap !== null) break;
      if (isRefused(piece.gap, ask.onGap)) return { refused: piece.gap };
      draft.pass(piece.gap);
    } else if (!draft.add(piece)) break;
  }
  const { epoch, tip } = await log.bounds(ask.channel);
  return { page: draft.finish(ask.channel, epoch, tip) };
}

class Draft {
  count = 0;
  gap: Gap | null = null;
  readonly #limit: number;
  readonly #until: EntryId | null;
  readonly #chunks: Buffer[] = [];
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #oldest: EntryId | null = null;
  #end: Cursor;
  /** Undefined until something was read. */
  #epoch: string | null | undefined;
  /** Cut by its size, or something was seen that lies beyond the range. */
  #isCut = false;

  constructor(limit: number, { start, until }: Range) {
    this.#limit = limit;
    this.#until = until;
    this.#end = start;
  }

  pass(gap: Gap): void {
    this.gap = gap;
    this.#end = gap.resumeAt;
    this.#epoch = gap.resumeAt.epoch;
  }

  /** False when the page is full. */
  add(piece: Entries): boolean {
    const texts: string[] = [];
    for (const { id, type, data } of piece.entries) {
      const json = messageJson(id, type, data);
      const size = Buffer.byteLength(json) + 1;
      if (this.count > 0 && this.#bytes + size > MAX_PAGE_BYTES) {
        this.#isCut = true;
        break;
      }
      this.#bytes += size;
      this.count += 1;
      texts.push(json);
    }
    this.#epoch = piece.epoch;
    if (piece.last === 'something beyond') this.#isCut = true;
    this.#oldest ??= piece.entries[0]?.id ?? null;
    if (texts.length === 0) {
      if (piece.entries.length === 0) this.#end = piece.end;
      return !this.#isCut;
    }
    this.#end = cursorInside(piece, texts.length - 1);
    this.#push(`${this.#chunks.length === 0 ? '' : ','}${texts.join(',')}`);
    return !this.#isCut;
  }

  /** `epoch` and `tip` are those of the channel at the end of the reading. */
  finish(channel: string, epoch: string | null, tip: EntryId): HistoryPage {
    const own = this.#epoch === undefined ? epoch : this.#epoch;
    const head = `{"channel":${JSON.stringify(channel)},"epoch":${JSON.stringify(own)},"messages":[`;
    const cursor = JSON.stringify(formatCursor(this.#end));
    const gap = gapJson(this.gap);
    const rangeTag = this.#hash.update(`${head}${cursor}${gap}`).copy().digest('base64url');
    const bodyTag = this.#hash.update(tip).digest('base64url');
    const tail = `],"cursor":${cursor},"tip":"${tip}","gap":${gap}}`;
    return {
      body: Buffer.concat([Buffer.from(head), ...this.#chunks, Buffer.from(tail)]),
      rangeTag,
      bodyTag,
      epoch: own,
      hasGap: this.gap !== null,
      oldest: this.#oldest,
      isComplete: this.count === this.#limit || this.#isCut || isReached(this.#until, this.#end),
    };
  }

  #push(text: string): void {
    const chunk = Buffer.from(text);
    this.#chunks.push(chunk);
    this.#hash.update(chunk);
  }
}
