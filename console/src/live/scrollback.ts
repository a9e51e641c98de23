/**
 * The messages that are kept for looking at: the newest so many, of so many characters at most. Whatever comes is put
 * in at once and drawn once a frame, however many came. While it is paused what is shown stands still, and what comes
 * is kept beside it, under the same bounds.
 */
import type { Gap, Message } from '../../../src/client/index.ts';

/** Rows kept, and their characters. */
const MAX_ROWS = 20_000;
const MAX_CHARACTERS = 32_000_000;
/** Rows above the bound before they are let go, all at once. */
const SLACK_ROWS = 4000;

export type Kind = 'json' | 'text' | 'binary';

export interface MessageRow {
  /** Counts all rows of this scrollback, from 0. */
  readonly no: number;
  readonly id: string;
  readonly cursor: string;
  readonly epoch: string | null;
  /** When it was stored, in ms since 1970. */
  readonly time: number;
  readonly kind: Kind;
  /** Of one that is binary: its bytes in hexadecimal digits. */
  readonly text: string;
}

export interface GapRow {
  readonly no: number;
  readonly gap: Gap;
}

export type Row = MessageRow | GapRow;

export class Scrollback {
  /** Messages that ever came. */
  received = 0;
  #rows: Row[] = [];
  #characters = 0;
  #next = 0;
  /** What is shown while it is paused. */
  #still: Row[] | null = null;
  #needle = '';
  /** Of what is shown, what has the needle; null: not looked for yet. */
  #found: Row[] | null = null;
  #isDue = false;
  readonly #listeners = new Set<() => void>();

  get isPaused(): boolean {
    return this.#still !== null;
  }

  /** How many came since it was paused. */
  get waiting(): number {
    return this.#still === null ? 0 : this.#next - ((this.#still.at(-1)?.no ?? -1) + 1);
  }

  /** What is to be shown, the oldest first. Not to be changed, and good until the next frame only. */
  get shown(): readonly Row[] {
    const all = this.#still ?? this.#rows;
    if (this.#needle === '') return all;
    this.#found ??= all.filter((row) => this.#has(row));
    return this.#found;
  }

  /** Rows that are held: what is shown is part of them. */
  get size(): number {
    return (this.#still ?? this.#rows).length;
  }

  take({ id, cursor, epoch, time, data }: Message): void {
    const [kind, text] = textOf(data);
    this.received += 1;
    this.#characters += text.length;
    this.#put({ no: this.#next++, id, cursor, epoch, time, kind, text });
  }

  meet(gap: Gap): void {
    this.#put({ no: this.#next++, gap });
  }

  /** Holds what is shown, or lets it go on. */
  toggle(): void {
    if (this.isPaused) this.resume();
    else this.pause();
  }

  pause(): void {
    if (this.#still !== null) return;
    this.#still = [...this.#rows];
    this.#changed();
  }

  resume(): void {
    if (this.#still === null) return;
    this.#still = null;
    this.#found = null;
    this.#changed();
  }

  filter(text: string): void {
    this.#needle = text.toLowerCase();
    this.#found = null;
    this.#changed();
  }

  clear(): void {
    this.#rows = [];
    this.#characters = 0;
    this.#still = null;
    this.#found = null;
    this.received = 0;
    this.#changed();
  }

  /** `drawn` is called once a frame at most. */
  listen(drawn: () => void): () => void {
    this.#listeners.add(drawn);
    return () => this.#listeners.delete(drawn);
  }

  #put(row: Row): void {
    this.#rows.push(row);
    if (this.#still === null && this.#found !== null && this.#has(row)) this.#found.push(row);
    if (this.#rows.length > MAX_ROWS + SLACK_ROWS || this.#characters > MAX_CHARACTERS) this.#letGo();
    this.#changed();
  }

  #letGo(): void {
    let first = Math.max(0, this.#rows.length - MAX_ROWS);
    for (let at = 0; at < first; at += 1) this.#characters -= charactersOf(this.#rows[at]);
    while (this.#characters > MAX_CHARACTERS / 2 && first < this.#rows.length - 1) {
      this.#characters -= charactersOf(this.#rows[first]);
      first += 1;
    }
    this.#rows = this.#rows.slice(first);
    if (this.#still === null) this.#found = null;
  }

  #has(row: Row): boolean {
    if ('gap' in row) return true;
    return row.text.toLowerCase().includes(this.#needle) || row.id.includes(this.#needle);
  }

  #changed(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      for (const drawn of this.#listeners) drawn();
    });
  }
}

function charactersOf(row: Row | undefined): number {
  return row === undefined || 'gap' in row ? 0 : row.text.length;
}

function textOf(data: unknown): readonly [Kind, string] {
  if (typeof data === 'string') return ['text', data];
  if (data instanceof Uint8Array) return ['binary', hexOf(data)];
  return ['json', JSON.stringify(data)];
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
