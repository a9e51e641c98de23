/**
 * What delivery is, as a list: every entry a channel ever accepted, what became of each, and how far each
 * subscriber has got in it. An entry may be missing for one reason only: it is gone, and the subscriber was
 * told so. A history is what lies between two losses of the newest entries; the first one is number 0.
 */
import assert from 'node:assert/strict';
import type { GapReason } from '../../src/log/log.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import { compareIds, type EntryId, ID_ZERO } from '../../src/protocol/id.ts';

export interface Accepted {
  readonly id: EntryId;
  readonly content: string;
  /** Somebody else wrote it: it bears no chain. */
  readonly isForeign: boolean;
  /** The histories that have it: from this one up to, without, `cut`. */
  readonly born: number;
  cut: number;
  /** How it was ever removed; a copy of the store made before that may have brought it back. */
  readonly removed: Set<'trimmed' | 'deleted'>;
  isKept: boolean;
}

/** A subscriber's place in a channel, and what its door can tell it. */
export interface Story {
  /** `losses`: not of entries deleted by name. */
  readonly tells: 'everything' | 'losses' | 'nothing';
  /** The entry it is owed next. */
  at: number;
  /** The history it knows itself in; null when it claims none. */
  history: number | null;
  /** It has claimed nothing yet, so what is trimmed before its first entry is no loss. */
  isFresh: boolean;
  /** It came with a position in a history that was lost meanwhile, and did not name that history. */
  isForked: boolean;
}

/** A gap as it was told; what a door does not say is undefined. */
export interface Told {
  readonly reason?: GapReason;
  readonly lost?: number | null;
  readonly requested?: Cursor;
  readonly cursor: Cursor;
}

export interface Copy {
  /** The last id given by then. */
  readonly fork: EntryId;
  readonly had: ReadonlySet<Accepted>;
  readonly kept: ReadonlySet<Accepted>;
}

export const NOTHING: Copy = { fork: ID_ZERO, had: new Set(), kept: new Set() };

export class ChannelModel {
  readonly entries: Accepted[] = [];
  readonly #histories: { epoch: string | null; readonly fork: EntryId }[] = [{ epoch: null, fork: ID_ZERO }];
  /** Whether somebody else's entries are here, whose ordinals can not always be told. */
  #hasForeign = false;

  get history(): number {
    return this.#histories.length - 1;
  }

  /** What the present history ever had, in order. */
  get present(): Accepted[] {
    return this.#between(0, this.entries.length, this.history);
  }

  get tip(): EntryId {
    return this.present.at(-1)?.id ?? ID_ZERO;
  }

  get epoch(): string | null {
    return this.epochOf(this.history);
  }

  epochOf(history: number): string | null {
    return this.#histories[history]?.epoch ?? null;
  }

  /** A look at the store: an epoch changes only where history was lost. */
  learn(epoch: string | null): void {
    const present = this.#histories[this.history] as { epoch: string | null };
    present.epoch ??= epoch;
    assert.equal(epoch, present.epoch, 'a new epoch, although nothing was lost');
  }

  accept(id: EntryId, content: string, isForeign = false): void {
    const born = this.history;
    this.#hasForeign ||= isForeign;
    this.entries.push({ id, content, isForeign, born, cut: Infinity, removed: new Set(), isKept: true });
  }

  remove(entry: Accepted, how: 'trimmed' | 'deleted'): void {
    entry.removed.add(how);
    entry.isKept = false;
  }

  /** What a copy of the store made now would bring back. */
  copy(): Copy {
    const { present } = this;
    return { fork: this.tip, had: new Set(present), kept: new Set(present.filter(({ isKept }) => isKept)) };
  }

  /** The newest entries are lost: the store has what the copy has, or nothing; nor perhaps what it knew of them. */
  lose({ fork, had, kept }: Copy, isForgotten: boolean): void {
    const old = this.present;
    if (fork !== this.tip || (isForgotten && this.epoch !== null))
      this.#histories.push({ epoch: null, fork });
    for (const entry of old) if (!had.has(entry)) entry.cut = this.history;
    for (const entry of kept) entry.isKept = true;
  }

  /** The server says where a subscriber begins that claims nothing; the latest is what this server has seen. */
  begin(story: Story, cursor: Cursor): void {
    story.history = cursor.epoch === null ? null : this.#historyOf(cursor);
  }

  /** A subscriber comes with a cursor; one that names no history is judged by its id alone. */
  resume(story: Story, cursor: Cursor): void {
    const known = story.history ?? this.history;
    const history = this.#historyOf(cursor);
    const forks = this.#histories.slice(known + 1, history + 1);
    story.isForked = story.tells !== 'nothing' && forks.some(({ fork }) => compareIds(cursor.id, fork) > 0);
    story.history = cursor.epoch === null && cursor.id === ID_ZERO ? null : history;
  }

  /** `epoch`: the one it came under; null when the door does not say, or there is none. */
  entry(story: Story, content: string, epoch: string | null): Accepted {
    const i = this.entries.findIndex((entry) => entry.content === content);
    const { id, born, cut } = this.entries[i] ?? assert.fail(`nobody published ${content}`);
    assert.ok(i >= story.at, `entry ${i} when ${story.at} is next: again, or out of order`);
    if (epoch !== null) story.history ??= this.#historyOf({ id, epoch, ordinal: null });
    this.#moveTo(story, i);
    const history = story.history ?? this.history;
    if (story.tells !== 'nothing') {
      assert.ok(born <= history, `entry ${i} of history ${born}, but no reset told after ${history}`);
      assert.ok(cut > history, `entry ${i} was lost before history ${history}`);
    }
    Object.assign(story, { at: i + 1, history, isFresh: false });
    return this.entries[i] as Accepted;
  }

  gap(story: Story, told: Told): void {
    const history = this.#historyOf(told.cursor);
    const to = this.place(told.cursor);
    const isUnclaimed = story.history === null && (told.reason ?? 'reset') === 'reset';
    const isReset = isUnclaimed || story.isForked || history > (story.history ?? history);
    if (!isReset && told.requested) {
      this.#standAt(story, { ...told.requested, epoch: told.cursor.epoch });
    }
    const missing = this.#between(story.at, to, history);
    assert.ok(
      missing.every(({ removed }) => removed.size > 0),
      'a gap over entries that are kept',
    );
    if (!isReset && !this.#isInDoubt(told, to)) assert.ok(missing.length > 0, 'a gap where nothing is lost');
    if (!story.isForked) {
      this.#checkReason(told, isReset, missing, to);
      this.#checkCount(told, isReset, missing);
    }
    // Read late, one without an epoch may be of a history that was lost as well by now.
    const known = told.cursor.epoch === null ? null : history;
    Object.assign(story, { at: Math.max(story.at, to), history: known, isFresh: false, isForked: false });
  }

  /** The subscriber is told, or tells, where it stands. */
  standing(story: Story, cursor: Cursor): void {
    if (story.tells === 'nothing') return;
    const history = this.#historyOf(cursor);
    if (cursor.epoch !== null && story.history !== null)
      assert.equal(history, story.history, 'no reset told');
    // Closed before it was told or sent anything.
    if (story.isForked && this.place(cursor) <= story.at) return;
    this.#standAt(story, cursor);
  }

  /** Nothing is under way: the subscriber has everything there is. */
  settled(story: Story): void {
    this.#moveTo(story, this.entries.length);
    if (story.tells !== 'nothing') assert.equal(story.history ?? this.history, this.history, 'no reset told');
    story.isFresh = false;
  }

  /** The index after the last entry at or before the cursor, in the history it names. */
  place(cursor: Cursor): number {
    const before = this.#between(0, this.entries.length, this.#historyOf(cursor));
    const last = before.findLast(({ id }) => compareIds(id, cursor.id) <= 0);
    return last === undefined ? 0 : this.entries.indexOf(last) + 1;
  }

  #standAt(story: Story, cursor: Cursor): void {
    const place = this.place(cursor);
    this.#moveTo(story, place);
    const again = this.#between(place, story.at, this.#historyOf(cursor));
    assert.deepEqual(again, [], 'the cursor lies before what was delivered');
  }

  #moveTo(story: Story, index: number): void {
    // To a server that knows nothing of the loss, what a stranger adds after it seems to follow a deletion.
    const isTold = story.tells === 'everything' || !this.#hasForeign;
    assert.ok(!story.isForked || !isTold, 'it stood in a lost history, and no gap was told');
    const isInDoubt = this.#followsUnseen(index);
    for (; story.at < index; story.at++) {
      if (isInDoubt && this.entries[story.at]?.removed.has('deleted') === true) continue;
      assert.ok(this.#isExcused(story, story.at), `a hole: entry ${story.at} is missing`);
    }
  }

  #isExcused(story: Story, index: number): boolean {
    const { cut, removed } = this.entries[index] as Accepted;
    if (cut <= (story.history ?? this.history)) return true;
    if (story.tells === 'nothing') return removed.size > 0 || cut <= this.history;
    if (story.isFresh && this.#isAllRemoved(index + 1)) return true;
    return removed.has('deleted') && story.tells === 'losses';
  }

  #checkReason({ reason }: Told, isReset: boolean, missing: readonly Accepted[], to: number): void {
    if (reason === undefined) return;
    const isDeleted = missing.every(({ removed }) => removed.has('deleted'));
    const fits =
      (reason === 'reset' && isReset) ||
      (reason === 'deleted' && !isReset && isDeleted) ||
      (reason === 'trimmed' && !isReset && this.#isAllRemoved(to));
    assert.ok(fits, `the reason is not ${reason}`);
  }

  #checkCount({ lost, requested }: Told, isReset: boolean, missing: readonly Accepted[]): void {
    if (lost === undefined) return;
    const isKnowable = !isReset && (requested?.ordinal !== null || requested.id === ID_ZERO);
    if (lost !== null) assert.equal(lost, missing.length, 'how many are lost');
    else assert.ok(!isKnowable || this.#hasForeign, `${missing.length} are lost, which could be known`);
  }

  /** What was deleted just before a stranger's entry can not be told once something later is deleted too. */
  #followsUnseen(index: number): boolean {
    const later = this.entries.slice(index);
    return later[0]?.isForeign === true && later.some(({ removed }) => removed.has('deleted'));
  }

  /**
   * Without ordinals nobody can say whether somebody else's entry follows one that was removed: the cursor may have
   * none, and the entry has none once something later was deleted by name.
   */
  #isInDoubt({ lost, requested }: Told, to: number): boolean {
    if (!this.#hasForeign || (lost ?? null) !== null) return false;
    return (requested?.ordinal ?? null) === null || this.#followsUnseen(to);
  }

  #isAllRemoved(to: number): boolean {
    return this.#between(0, to, this.history).every(({ removed }) => removed.size > 0);
  }

  #between(from: number, to: number, history: number): Accepted[] {
    return this.entries.slice(from, to).filter(({ born, cut }) => born <= history && cut > history);
  }

  #historyOf({ epoch }: Cursor): number {
    if (epoch === null) return this.history;
    const history = this.#histories.findLastIndex((one) => one.epoch === epoch);
    assert.ok(history >= 0, `nobody knows the epoch ${epoch}`);
    return history;
  }
}
