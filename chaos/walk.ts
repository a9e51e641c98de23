/**
 * One story along the truth. `#at` is the rank up to which everything lies behind the subscriber: sent to it, or
 * told to be gone, or before its start. What it is sent next must be the next it is owed.
 *
 * `#branch` is where it has got in a history that the log has lost. For a while two masters may take messages,
 * so that the ids of both histories lie among each other; a reset leads back to where they parted.
 */
import { parseCursor } from '../src/protocol/cursor.ts';
import type { Ack } from './book.ts';
import { nameOf } from './message.ts';
import type { Item, Story, ToldGap } from './story.ts';
import type { LogEntry, Truth } from './truth.ts';
import type { Fault, Violation } from './violation.ts';

/** Of each subscriber so many faults are told: the first says more than the thousandth. */
export const MOST_TOLD = 10;

/** For so long at most an old master may go on taking messages after some subscribers have come to the new one. */
const SPLIT_MS = 5000;

/** How much of a story is told around a fault. */
const AROUND = 8;

export class Walk {
  readonly #story: Story;
  readonly #truth: Truth;
  readonly #mayReset: boolean;
  readonly #violations: Violation[] = [];
  /** Null: where it started is not known yet. */
  #at: number | null = null;
  #startedAt = 0;
  #startRank: number | null = null;
  #seen: Uint8Array;
  /** Not told of it yet. */
  #branch: number | null = null;
  /** What it was sent of it. */
  #voids: number[] = [];
  /** When it was told of a reset. */
  #resets: number[] = [];
  #item = 0;

  constructor(story: Story, truth: Truth, mayReset: boolean) {
    this.#story = story;
    this.#truth = truth;
    this.#mayReset = mayReset;
    this.#seen = new Uint8Array(truth.entries.length);
  }

  /** `lost`: what was acknowledged and the log lost; it is owed a gap. */
  judge(lost: readonly { readonly rank: number; readonly ack: Ack }[]): readonly Violation[] {
    const { items } = this.#story;
    for (const [index, item] of items.entries()) {
      this.#item = index;
      this.#take(item);
    }
    const { length } = this.#truth.entries;
    if (this.#at !== null) this.#pass(length, 'it never came');
    else if (length > 0) this.#found('lost', 'it never began');
    if (this.#branch !== null) {
      const lost = this.#truth.describe(this.#branch);
      this.#found('unexplained gap', `nobody said to the end that ${lost} was lost`);
    }
    for (const { rank, ack } of lost) this.#told(rank, ack);
    return this.#violations;
  }

  #take(item: Item): void {
    switch (item.kind) {
      case 'start':
        return this.#start(item.at, item.position);
      case 'run':
        for (let place = item.first; place <= item.last; place++) this.#sent(this.#entryAt(place));
        return;
      case 'bare':
        return this.#sentBare(item.codes);
      case 'gap':
        return item.reason === 'reset' ? this.#reset(item, item.at) : this.#gap(item, item.at);
      case 'epoch':
        return this.#found('unexplained gap', `the epoch went from ${item.from} to ${item.to} untold`);
      case 'note':
    }
  }

  #entryAt(place: number): LogEntry {
    const { ids, codes } = this.#story.book;
    return { id: ids[place] as string, code: codes[place] as number };
  }

  #start(at: number, position: string | null): void {
    this.#at = position === null ? null : this.#rankAt(position);
    this.#startRank = this.#at;
    this.#startedAt = at;
    this.#seen.fill(0);
    this.#branch = null;
    this.#voids = [];
    this.#resets = [];
  }

  #sent(entry: LogEntry): void {
    const rank = this.#truth.rankOf(entry);
    const what = this.#truth.describe(rank);
    if (this.#seen[rank] === 1) return this.#found('duplicated', `${what} was sent twice`);
    this.#seen[rank] = 1;
    const before = this.#branch ?? this.#at;
    if (before !== null && rank <= before) {
      return this.#found('out of order', `${what} was sent after ${this.#truth.describe(before)}`);
    }
    this.#startRank ??= rank - 1;
    if (!this.#truth.isOwed(rank)) {
      this.#at ??= rank - 1;
      this.#branch = rank;
      this.#voids.push(rank);
      return;
    }
    if (this.#branch !== null) {
      const lost = this.#truth.describe(this.#branch);
      this.#found('unexplained gap', `${what} came, and nobody said that ${lost} was lost`);
    }
    this.#pass(rank, `${what} came instead`);
    this.#branch = null;
    this.#at = rank;
  }

  /**
   * Sent without ids. Of several copies the log lost all but one. Before a gap the subscriber may have been sent a
   * lost one, if the gap leads back before the other, which it is sent later; and so may one that was cut and
   * then began anew.
   */
  #sentBare(codes: readonly number[]): void {
    const rest = this.#story.items.slice(this.#item + 1);
    const next = rest.find(({ kind }) => kind === 'gap' || kind === 'start');
    const back = next?.kind === 'gap' ? this.#rankAt(next.cursor) : this.#truth.entries.length;
    for (const code of codes) {
      const rank = this.#copySent(code, back, next?.kind === 'start');
      if (rank !== undefined) this.#sent(this.#truth.entries[rank] as LogEntry);
      // A copy that the log lost before anybody else saw it is in no book.
      else if (next === undefined) this.#found('foreign', `${nameOf(code)} was sent, and is not in the log`);
    }
  }

  #copySent(code: number, back: number, endsUntold: boolean): number | undefined {
    const copies = this.#truth.copiesOf(code);
    const here = this.#branch ?? this.#at ?? -1;
    const lost = copies.find((rank) => !this.#truth.isOwed(rank) && rank > here);
    const owed = copies.find((rank) => this.#truth.isOwed(rank) && rank <= back);
    const isLost = endsUntold && owed !== undefined && !this.#isNext(owed);
    return (isLost ? lost : undefined) ?? owed ?? lost ?? copies[0];
  }

  /** Whether nothing is owed before it. */
  #isNext(rank: number): boolean {
    if (this.#branch !== null) return false;
    for (let before = (this.#at ?? rank) + 1; before < rank; before++)
      if (this.#truth.isOwed(before)) return false;
    return true;
  }

  /** What lies between where it stands and `rank` must not be owed. */
  #pass(rank: number, because: string): void {
    if (this.#at === null) return;
    for (let missed = this.#at + 1; missed < rank; missed++) {
      if (!this.#truth.isOwed(missed) || this.#seen[missed] === 1) continue;
      this.#found('lost', `${this.#truth.describe(missed)} was not sent: ${because}`);
    }
  }

  #reset({ cursor, requested }: ToldGap, at: number): void {
    const rank = this.#rankAt(cursor);
    if (!this.#mayReset) this.#found('unexplained gap', `a reset to ${cursor} was told`);
    this.#asked(requested);
    this.#skip(rank, 'the reset');
    this.#at = rank;
    this.#startRank ??= rank;
    this.#branch = null;
    // A node that has not noticed yet may send once more what the reset took back, and then tells one itself.
    for (const later of this.#voids) if (later > rank) this.#seen[later] = 0;
    this.#voids = [];
    this.#resets.push(at);
  }

  /** Trimmed; or a door that does not say why. */
  #gap({ reason, requested, lost, cursor }: ToldGap, at: number): void {
    const rank = this.#rankAt(cursor);
    if (reason === null && this.#at !== null && rank <= this.#at)
      return this.#reset({ reason, requested, lost, cursor }, at);
    if (reason !== null && reason !== 'trimmed') this.#found('unexplained gap', `${reason} was told`);
    this.#asked(requested);
    const missed = this.#skip(rank, `the gap (${reason ?? 'no reason'}) up to ${cursor}`);
    if (lost !== null && this.#at !== null && lost !== missed) {
      this.#found(
        'unexplained gap',
        `${lost} were told to be ${reason ?? 'gone'}, and ${missed} are missing`,
      );
    }
    this.#at = rank;
    this.#startRank ??= rank;
  }

  /** A gap begins where the subscriber stands. */
  #asked(requested: string | null): void {
    const at = this.#branch ?? this.#at;
    if (requested === null || at === null || this.#rankAt(requested) === at) return;
    const here = this.#truth.describe(at);
    this.#found('unexplained gap', `a gap was told after ${requested}, and it stood at ${here}`);
  }

  /** How many owed entries are passed over; one that the log still has was no gap. */
  #skip(to: number, by: string): number {
    let missed = 0;
    for (let rank = (this.#at ?? to) + 1; rank <= to; rank++) {
      if (this.#seen[rank] === 1 || !this.#truth.isOwed(rank)) continue;
      missed += 1;
      if (this.#truth.entries[rank]?.fate !== 'kept') continue;
      this.#found('unexplained gap', `${by} covers ${this.#truth.describe(rank)}, which is there`);
    }
    return missed;
  }

  /** One that was there while it was acknowledged had it, or was told that it is gone. */
  #told(rank: number, ack: Ack): void {
    if (this.#startRank === null || this.#startRank >= rank || this.#startedAt > ack.at - SPLIT_MS) return;
    if (this.#seen[rank] === 1) return;
    // It may have been sent what came later before anybody noticed the loss, so the reset may lie behind it.
    if (this.#resets.some((at) => at >= ack.at - SPLIT_MS)) return;
    const { items } = this.#story;
    const later = items.findIndex((item) => 'at' in item && item.at > ack.at);
    this.#item = later === -1 ? items.length - 1 : later;
    const when = new Date(ack.at).toISOString();
    this.#found(
      'lost',
      `${this.#truth.describe(rank)} was acknowledged at ${when} and lost, and it was not told`,
    );
  }

  #rankAt(cursor: string): number {
    const id = parseCursor(cursor)?.id;
    if (id === undefined) throw new Error(`${this.#story.subscriber} was told the cursor "${cursor}"`);
    return this.#truth.upTo(id);
  }

  #found(fault: Fault, what: string): void {
    if (this.#violations.length >= MOST_TOLD) return;
    const { subscriber, book, items } = this.#story;
    const head = `${book.channel}: ${subscriber}: ${what}`;
    // What was around the first tells the others, too.
    const isFirst = this.#violations.every((violation) => violation.fault !== fault);
    const around = isFirst ? `\n${this.#around(items)}` : '';
    this.#violations.push({ fault, account: `${head}${around}` });
  }

  #around(items: readonly Item[]): string {
    return items
      .slice(Math.max(0, this.#item - AROUND), this.#item + AROUND)
      .map((item, i) => `    ${i === Math.min(AROUND, this.#item) ? '>' : ' '} ${this.#describe(item)}`)
      .join('\n');
  }

  #describe(item: Item): string {
    if (item.kind === 'run') {
      const [first, last] = [this.#entryAt(item.first), this.#entryAt(item.last)];
      return `${item.last - item.first + 1} sent: ${nameOf(first.code)} (${first.id}) … ${nameOf(last.code)} (${last.id})`;
    }
    if (item.kind === 'bare') {
      const { codes } = item;
      return `${codes.length} sent: ${nameOf(codes[0] as number)} … ${nameOf(codes.at(-1) as number)}`;
    }
    const { kind, at, ...rest } = item;
    return `${new Date(at).toISOString()} ${kind} ${JSON.stringify(rest)}`;
  }
}
