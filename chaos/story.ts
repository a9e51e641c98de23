/**
 * What one subscriber was sent of one channel, kept small: runs of entries by their places in the channel's
 * book, and between them where it started, what it was told to be missing, and where it came back.
 *
 * A raw subscriber is not told ids. Which copy of a message it was sent, should there be two because Redis lost
 * the first, only the whole story tells (walk.ts).
 */
import { parseCursor } from '../src/protocol/cursor.ts';
import type { Book } from './book.ts';
import type { Code } from './message.ts';

export interface ToldGap {
  /** Null: the door does not say. */
  readonly reason: string | null;
  readonly requested: string | null;
  readonly lost: number | null;
  readonly cursor: string;
}

export type Item =
  /** `position` null: the first entry that comes says where it began. */
  | { readonly kind: 'start'; readonly at: number; readonly position: string | null; readonly after: string }
  | { readonly kind: 'run'; readonly first: number; last: number }
  | ({ readonly kind: 'gap'; readonly at: number } & ToldGap)
  /** The history was another one, and nobody said so. */
  | { readonly kind: 'epoch'; readonly at: number; readonly from: string; readonly to: string }
  | { readonly kind: 'note'; readonly at: number; readonly text: string }
  /** Without ids. */
  | { readonly kind: 'bare'; readonly codes: Code[] };

export class Story {
  readonly subscriber: string;
  readonly book: Book;
  readonly items: Item[] = [];
  received = 0;
  /** The last entry's place in the book, or -1. */
  #last = -1;
  /** The last entry, if it came without an id. */
  #bare: Code | null = null;
  #epoch: string | null = null;
  #cursor: string | null = null;
  /** Where the door said that it stands, until something comes after it. */
  #stood: string | null = null;
  readonly #now: () => number;

  constructor(subscriber: string, book: Book, now: () => number = Date.now) {
    this.subscriber = subscriber;
    this.book = book;
    this.#now = now;
  }

  /** Where it would come back; null: it knows no place. */
  get cursor(): string | null {
    if (this.#stood !== null) return this.#stood;
    return this.#bare === null ? this.#cursor : this.book.cursorOf(this.#bare, this.#epoch);
  }

  /** Whether this is the last entry it has, or lies where it was told that it stands. */
  isAt({ id, code }: { readonly id: string; readonly code: Code }): boolean {
    if (this.#bare === code || this.book.ids[this.#last] === id) return true;
    return this.#bare === null && parseCursor(this.cursor ?? '')?.id === id;
  }

  /** It begins, or begins anew and may be sent again what it was sent before. */
  start(after: string, position: string | null): void {
    this.#last = -1;
    this.#bare = null;
    this.#epoch = null;
    this.#cursor = position;
    this.#stood = null;
    this.items.push({ kind: 'start', at: this.#now(), position, after });
  }

  /** It comes back with the cursor it has, or says something else worth knowing. */
  note(text: string): void {
    this.items.push({ kind: 'note', at: this.#now(), text });
  }

  entry(id: string, epoch: string | null, code: Code): void {
    if (epoch !== null && epoch !== this.#epoch) {
      if (this.#epoch !== null)
        this.items.push({ kind: 'epoch', at: this.#now(), from: this.#epoch, to: epoch });
      this.#epoch = epoch;
    }
    this.received += 1;
    this.#stood = null;
    this.#cursor = epoch === null ? id : `${id}@${epoch}`;
    this.#add(this.book.place(id, code, this.#last + 1, epoch));
  }

  /** An entry of a door that tells no ids. */
  bare(code: Code): void {
    this.received += 1;
    this.#stood = null;
    this.#bare = code;
    const item = this.items.at(-1);
    if (item?.kind === 'bare') item.codes.push(code);
    else this.items.push({ kind: 'bare', codes: [code] });
  }

  /** A door told where it stands, with as much as it says of its history. */
  stands(cursor: string): void {
    this.#stood = cursor;
    this.#epoch ??= parseCursor(cursor)?.epoch ?? null;
  }

  gap(told: ToldGap): void {
    this.items.push({ kind: 'gap', at: this.#now(), ...told });
    this.#stood = told.cursor;
    this.#epoch = parseCursor(told.cursor)?.epoch ?? null;
  }

  #add(place: number): void {
    const item = this.items.at(-1);
    if (item?.kind === 'run' && item.last + 1 === place) item.last = place;
    else this.items.push({ kind: 'run', first: place, last: place });
    this.#last = place;
  }
}
