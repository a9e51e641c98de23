/** Reads all that a channel holds over HTTP, as lines, message by message. */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { codeIn } from './message.ts';
import type { LogEntry } from './truth.ts';

export interface History {
  readonly entries: readonly LogEntry[];
  /** What was told to be missing, and what nobody published. */
  readonly faults: readonly string[];
}

interface Line {
  readonly id?: string;
  readonly data?: unknown;
  readonly data64?: string;
  readonly gap?: unknown;
  readonly cursor?: string;
}

const READ_MS = 60_000;

/** Rejects when the answer is cut. */
export async function readHistory(address: string, channel: string): Promise<History> {
  const url = `${address}/api/channels/${channel}/messages?after=earliest&limit=1000000`;
  const headers = { accept: 'application/x-ndjson' };
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(READ_MS) });
  if (response.status !== 200 || response.body === null) throw new Error(`${url}: ${response.status}`);
  const entries: LogEntry[] = [];
  const faults: string[] = [];
  let isWhole = false;
  const input = Readable.fromWeb(response.body);
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    const line = JSON.parse(text) as Line;
    if (line.id !== undefined) {
      const code = codeOf(line);
      if (code === null) faults.push(`holds what nobody published: ${text.slice(0, 200)}`);
      else entries.push({ id: line.id, code });
    } else if (line.gap !== undefined) faults.push(`tells a gap: ${text}`);
    else isWhole = line.cursor !== undefined;
  }
  if (!isWhole) throw new Error(`the history of ${channel} was cut`);
  return { entries, faults };
}

function codeOf({ data, data64 }: Line): number | null {
  if (data64 !== undefined) return codeIn(true, Buffer.from(data64, 'base64').toString('latin1'));
  return codeIn(false, typeof data === 'string' ? data : JSON.stringify(data));
}
