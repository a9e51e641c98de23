/**
 * Server-sent events (the HTML standard, section 9.2). Each event carries the cursor after it as its id, so a
 * browser that reconnects says by itself where it was.
 *
 *   text, json   id: <cursor>   data: one line for each line of the payload
 *   binary       id: <cursor>   event: binary   data: base64
 *   gap          id: <cursor>   event: gap      data: what is lost, as JSON
 *   position     id: <cursor>   (an id without data moves the browser's cursor, and no event is fired)
 *   cursor       id: <cursor>   event: cursor   data: the position as JSON, in place of the last
 */
import { type Cursor, formatCursor } from './cursor.ts';
import { gapMembers, type ToldGap } from './gap-json.ts';

/** What ends a line for a reader of events: all three, so a payload with any of them takes several lines. */
const LINE_END = /\r\n|\r|\n/;

/** A browser puts the lines together with `\n`, whatever ended them in the payload. */
export function textEvent(cursor: string, text: string): string {
  if (!LINE_END.test(text)) return `id: ${cursor}\ndata: ${text}\n\n`;
  return `id: ${cursor}\ndata: ${text.split(LINE_END).join('\ndata: ')}\n\n`;
}

export function binaryEvent(cursor: string, data: Buffer): string {
  return `id: ${cursor}\nevent: binary\ndata: ${data.toString('base64')}\n\n`;
}

export function gapEvent(gap: ToldGap): string {
  const members = gapMembers(gap);
  return `id: ${members.cursor}\nevent: gap\ndata: ${JSON.stringify(members)}\n\n`;
}

/** The same as an event, for readers that are to know where they are. */
export function cursorEvent(cursor: Cursor): string {
  const text = formatCursor(cursor);
  return `id: ${text}\nevent: cursor\ndata: {"cursor":"${text}"}\n\n`;
}

export function positionEvent(cursor: Cursor): string {
  return `id: ${formatCursor(cursor)}\n\n`;
}

/** How long to wait before connecting again. */
export function retryField(ms: number): string {
  return `retry: ${ms}\n\n`;
}
