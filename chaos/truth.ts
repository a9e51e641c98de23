/**
 * What a channel held, put together after a run from the log as it is at the end, what subscribers were sent, and
 * what publishers were told. Every entry has a rank, its place in the order of ids.
 *
 *   in the log     every subscriber is owed it
 *   before the log's first entry   retention removed it: owed, or told to be trimmed
 *   else           the log lost it (a failover without the tail): whoever had it is owed a reset
 */
import { compareIds } from '../src/protocol/id.ts';
import type { Ack, Book } from './book.ts';
import { type Code, nameOf } from './message.ts';

export interface LogEntry {
  readonly id: string;
  readonly code: Code;
}

export type Fate = 'kept' | 'trimmed' | 'void';

export interface Known extends LogEntry {
  readonly fate: Fate;
}

export class Truth {
  readonly entries: readonly Known[];
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #ofCode: ReadonlyMap<Code, readonly number[]>;

  constructor(log: readonly LogEntry[], book: Book) {
    this.entries = everything(log, book);
    const ranks = new Map<string, number>();
    const ofCode = new Map<Code, number[]>();
    for (const [rank, entry] of this.entries.entries()) {
      ranks.set(keyOf(entry), rank);
      const copies = ofCode.get(entry.code);
      if (copies === undefined) ofCode.set(entry.code, [rank]);
      else copies.push(rank);
    }
    this.#ranks = ranks;
    this.#ofCode = ofCode;
  }

  rankOf(entry: LogEntry): number {
    return this.#ranks.get(keyOf(entry)) ?? -1;
  }

  copiesOf(code: Code): readonly number[] {
    return this.#ofCode.get(code) ?? [];
  }

  codes(): Iterable<Code> {
    return this.#ofCode.keys();
  }

  /** The rank of the last entry whose id is not above `id`; -1 before all. */
  upTo(id: string): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareIds((this.entries[middle] as Known).id, id) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  isOwed(rank: number): boolean {
    return this.entries[rank]?.fate !== 'void';
  }

  /** What was acknowledged and is not there, and has not been trimmed. */
  lostAcks(book: Book): { readonly rank: number; readonly ack: Ack }[] {
    const lost: { rank: number; ack: Ack }[] = [];
    for (const [code, ack] of book.acks) {
      const rank = this.rankOf({ id: ack.id, code });
      if (!this.isOwed(rank)) lost.push({ rank, ack });
    }
    return lost;
  }

  describe(rank: number): string {
    const entry = this.entries[rank];
    return entry === undefined ? 'nothing' : `${nameOf(entry.code)} (${entry.id}, ${entry.fate})`;
  }
}

function everything(log: readonly LogEntry[], book: Book): Known[] {
  const inLog = new Map(log.map(({ id, code }) => [id, code]));
  const others = new Map<string, LogEntry>();
  const add = (id: string, code: Code): void => {
    if (inLog.get(id) !== code) others.set(keyOf({ id, code }), { id, code });
  };
  for (const [place, id] of book.ids.entries()) add(id, book.codes[place] as Code);
  for (const [code, { id }] of book.acks) add(id, code);
  const floor = log[0]?.id;
  const isTrimmed = (id: string): boolean => floor !== undefined && compareIds(id, floor) < 0;
  const gone = [...others.values()].map(
    ({ id, code }): Known => ({ id, code, fate: isTrimmed(id) ? 'trimmed' : 'void' }),
  );
  gone.sort((a, b) => compareIds(a.id, b.id));
  const all: Known[] = [];
  let next = 0;
  for (const { id, code } of log) {
    for (let other = gone[next]; other !== undefined && compareIds(other.id, id) <= 0; other = gone[++next])
      all.push(other);
    all.push({ id, code, fate: 'kept' });
  }
  return all.concat(gone.slice(next));
}

function keyOf({ id, code }: LogEntry): string {
  return `${id} ${code}`;
}
