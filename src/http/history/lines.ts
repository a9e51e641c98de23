/**
 * History as lines of JSON (NDJSON), made as they are taken:
 *
 *   {"id":"…","data":"…"}                      an entry
 *   {"gap":{"requested":…,"cursor":…, …}}      entries are missing here
 *   {"cursor":"…","tip":"…"}                   the last line: where to go on. Without it the answer was cut short
 */
import { formatCursor } from '../../protocol/cursor.ts';
import type { EntryId } from '../../protocol/id.ts';
import { messageJson } from '../../protocol/message-json.ts';
import { gapJson, isRefused } from '../gap.ts';
import type { Piece, Range } from './read.ts';
import type { HistoryAsk } from './request.ts';

export interface LinesSource {
  /** The pieces of the range, in order; undefined when there are no more. */
  readonly next: () => Promise<Piece | undefined>;
  /** The channel's tip at the end of the reading. */
  readonly tip: () => Promise<EntryId>;
}

/** Each text is the lines of one piece. A gap that the reader does not want to pass ends them before it. */
export async function* linesOf(
  { next, tip }: LinesSource,
  { onGap }: Pick<HistoryAsk, 'onGap'>,
  { start }: Pick<Range, 'start'>,
): AsyncGenerator<string, void, undefined> {
  let end = start;
  for (let piece = await next(); piece !== undefined; piece = await next()) {
    if (piece.kind === 'gap' && isRefused(piece.gap, onGap)) break;
    end = piece.end;
    const lines = linesOfPiece(piece);
    if (lines !== '') yield lines;
  }
  yield `{"cursor":${JSON.stringify(formatCursor(end))},"tip":"${await tip()}"}\n`;
}

function linesOfPiece(piece: Piece): string {
  if (piece.kind === 'gap') return `{"gap":${gapJson(piece.gap)}}\n`;
  let lines = '';
  for (const { id, type, data } of piece.entries) lines += `${oneLine(messageJson(id, type, data))}\n`;
  return lines;
}

/** Between the tokens of JSON a line end is white space, and inside of a string there is none. */
function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.replaceAll(/[\r\n]/g, ' ') : json;
}
