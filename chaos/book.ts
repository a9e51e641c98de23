/**
 * What is known of a channel while a run goes on: every entry that any subscriber was sent with its id, in the
 * order first seen, which is nearly that of the log; and every acknowledgement.
 */
import type { Code } from './message.ts';

export interface Ack {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export class Book {
  readonly channel: string;
  readonly ids: string[] = [];
  readonly codes: Code[] = [];
  /** The history in which each was first seen. */
  readonly epochs: (string | null)[] = [];
  readonly acks: Map<Code, Ack> = new Map();
  /** Whether the log may lose the first copy of a message that is then stored again. */
  readonly #mayReset: boolean;
  readonly #retried = new Set<Code>();
  readonly #byId = new Map<string, number>();
  readonly #byCode = new Map<Code, number>();
  /** Further copies of a message, and further messages of an id: rare, and for the verdict to judge. */
  readonly #copies = new Map<Code, number[]>();

  constructor(channel: string, mayReset: boolean) {
    this.channel = channel;
    this.#mayReset = mayReset;
  }

  retry(code: Code): void {
    this.#retried.add(code);
  }

  acknowledge(code: Code, id: string, at: number): void {
    this.acks.set(code, { id, at });
  }

  /** The place of an entry, new or not. `expected` is the likely one. */
  place(id: string, code: Code, expected: number, epoch: string | null): number {
    if (this.ids[expected] === id && this.codes[expected] === code) return expected;
    const known = this.#byId.get(id);
    if (known !== undefined && this.codes[known] === code) return known;
    const copies = this.#copies.get(code) ?? [];
    return copies.find((place) => this.ids[place] === id) ?? this.#add(id, code, epoch);
  }

  /**
   * The cursor of a message whose id was not told; null when nobody else was told it, or there may be two. `known`: what
   * who was sent it knows of its history; null: nothing, and then that of others.
   */
  cursorOf(code: Code, known: string | null): string | null {
    const place = this.#byCode.get(code);
    if (place === undefined || (this.#mayReset && this.#retried.has(code))) return null;
    const id = this.ids[place] ?? null;
    const epoch = known ?? this.epochs[place] ?? null;
    return epoch === null ? id : `${id}@${epoch}`;
  }

  #add(id: string, code: Code, epoch: string | null): number {
    const place = this.ids.length;
    this.ids.push(id);
    this.codes.push(code);
    this.epochs.push(epoch);
    const first = this.#byCode.get(code);
    if (first === undefined) this.#byCode.set(code, place);
    if (first !== undefined || this.#byId.has(id)) {
      const copies = this.#copies.get(code) ?? (first === undefined ? [] : [first]);
      this.#copies.set(code, [...copies, place]);
    }
    if (!this.#byId.has(id)) this.#byId.set(id, place);
    return place;
  }
}
