/**
 * One connection that listens: a transport, a wire format, and a cursor for each channel it follows. Its whole
 * life:
 *
 *   ready ──socket pushed back──▶ stalled ──drained──▶ ready
 *   ready ──not known yet──▶ underway ──drained──▶ ready, or ──▶ stalled
 *   any ──close──▶ closing ──connection gone──▶ closed
 *
 * Nothing is queued for it: what it has not been sent lies in the channel, and its subscriptions go on from
 * their cursors when the socket takes bytes again, taking turns.
 */
import type { Clock } from '../clock.ts';
import { ERRORS, type ErrorCode } from '../errors.ts';
import type { Gap, GapReason } from '../log/log.ts';
import { CLOSE, cursorReason } from '../protocol/close.ts';
import { formatCursor } from '../protocol/cursor.ts';
import type { Tracing } from '../tracing.ts';
import type { Counts, Sent } from './counts.ts';
import type { Format } from './format.ts';
import type { Passes, Pumpable } from './passes.ts';
import type { Lag } from './slow-reader.ts';
import type { Mark, Memory, Stallable, Stalls } from './stalls.ts';
import { type OnGap, type Outlet, PUMP_BYTES, type Subscription } from './subscription.ts';
import type { Peer, Transport, WriteOutcome } from './transport.ts';
import type { Turns } from './turns.ts';

/** What all subscribers of a process share. */
export interface SubscriberContext {
  readonly clock: Clock;
  readonly stalls: Stalls<Subscriber>;
  readonly turns: Turns;
  readonly passes: Passes;
  readonly counts: Counts;
  readonly tracing: Tracing;
  /** It takes no more entries. */
  readonly gone: (subscriber: Subscriber) => void;
}

export class Subscriber implements Outlet, Stallable, Pumpable {
  /** Of this process, from 1 on. */
  readonly id: number;
  readonly format: Format;
  /** Wall-clock ms at which it came. */
  readonly sinceMs: number;
  /** Told when a gap ended a subscription that asked for that. */
  onEnded: ((subscription: Subscription, gap: Gap) => void) | null = null;
  /** Told when the socket takes bytes again, before entries do: what else is to be said would never have its turn. */
  onReady: (() => void) | null = null;
  readonly #context: SubscriberContext;
  readonly #transport: Transport;
  /** What all subscribers of its format were sent. */
  readonly #sent: Sent;
  readonly #subscriptions: Subscription[] = [];
  #state: 'ready' | 'underway' | 'stalled' | 'closing' | 'closed' = 'ready';
  /** Whose turn it was last. */
  #turn = 0;
  #writtenBytes = 0;

  constructor(context: SubscriberContext, transport: Transport, format: Format) {
    this.#context = context;
    this.#transport = transport;
    this.format = format;
    context.counts.joined += 1;
    this.id = context.counts.joined;
    this.sinceMs = context.clock.now();
    this.#sent = context.counts.sent[format.name];
    this.#sent.joined += 1;
  }

  get subscriptions(): readonly Subscription[] {
    return this.#subscriptions;
  }

  get peer(): Peer | null {
    return this.#transport.peer ?? null;
  }

  get isOpen(): boolean {
    return this.#state !== 'closing' && this.#state !== 'closed';
  }

  /** Whether the socket takes bytes. */
  get isReady(): boolean {
    return this.#state === 'ready';
  }

  add(subscription: Subscription): void {
    this.#subscriptions.push(subscription);
    this.#context.stalls.get(this)?.marks.push(markOf(subscription));
  }

  /** Ends one subscription; the connection stays. */
  leave(subscription: Subscription): void {
    subscription.end();
    const at = this.#subscriptions.indexOf(subscription);
    if (at !== -1) this.#subscriptions.splice(at, 1);
  }

  /** Goes on with all subscriptions, in turns of about one write each. */
  pump(): void {
    const end = this.#writtenBytes + PUMP_BYTES;
    let parked = 0;
    while (this.#state === 'ready' && parked < this.#subscriptions.length) {
      const left = end - this.#writtenBytes;
      if (left <= 0) {
        this.#context.turns.add(this);
        return;
      }
      this.#turn = (this.#turn + 1) % this.#subscriptions.length;
      const subscription = this.#subscriptions[this.#turn] as Subscription;
      const quantum = this.#subscriptions.length === 1 ? left : subscription.feed.writeBytes;
      const hasMore = subscription.advance(quantum);
      // One that ended has moved the others up a place.
      parked = hasMore || subscription.hasEnded ? 0 : parked + 1;
    }
  }

  /** Writes bytes that go to this connection, now or as soon as it drains. */
  write(bytes: Buffer, weight: number = bytes.length, entries = 0): WriteOutcome {
    const outcome = this.#transport.write(bytes);
    this.#writtenBytes += weight;
    if (outcome !== 'closed') this.#count(bytes.length, entries);
    if (outcome === 'pending') this.#stall(bytes.buffer);
    if (outcome === 'underway' && this.#state === 'ready') this.#state = 'underway';
    // Nobody must wait for it: its peer may take its time to end the connection.
    if (outcome === 'closed') this.detach();
    return outcome;
  }

  lost(reason: GapReason): void {
    this.#context.counts.gaps[reason] += 1;
  }

  /** The transport's pending bytes are gone. */
  drained(): void {
    this.#context.stalls.remove(this);
    if (this.#state !== 'stalled' && this.#state !== 'underway') return;
    this.#state = 'ready';
    this.onReady?.();
    this.#context.passes.pump(this);
  }

  /** The transport's bytes that were underway are pending: so many, encrypted, which it shares with nobody. */
  stalled(pendingBytes: number): void {
    const memory = { byteLength: pendingBytes };
    if (this.#state === 'closing' && this.#context.stalls.get(this) === undefined) this.#hold(memory);
    if (this.#state !== 'underway') return;
    for (const subscription of this.#subscriptions) subscription.forgetRange();
    this.#stall(memory);
  }

  /** A subscription has come to a gap that is a loss to it. */
  met(subscription: Subscription, gap: Gap, onGap: OnGap): void {
    if (onGap === 'close') this.close(CLOSE.gap);
    if (onGap !== 'end') return;
    this.leave(subscription);
    this.onEnded?.(subscription, gap);
  }

  /**
   * What is to be said on a regular visit: where the subscriptions stand that were sent nothing for
   * `quietVisits` in a row. Null: nothing.
   */
  visit(quietVisits: number): Buffer | null {
    if (this.#state !== 'ready') return null;
    const said: Buffer[] = [];
    for (const subscription of this.#subscriptions) {
      const position = subscription.visit(quietVisits);
      if (position !== null) said.push(position);
    }
    return said.length === 0 ? null : Buffer.concat(said);
  }

  /** How far it has fallen behind since it stalled, or was behind already: the worst of its channels. */
  get lag(): Lag {
    const stall = this.#context.stalls.get(this);
    if (stall === undefined) return { stalledMs: 0, entries: 0, bytes: 0 };
    const lag = { stalledMs: this.#context.clock.monotonic() - stall.sinceMs, entries: 0, bytes: 0 };
    for (const { subscription, entries, bytes } of stall.marks) {
      if (subscription.hasEnded) continue;
      const { feed, cursor } = subscription;
      const behind = (feed.ring.end.ordinal ?? 0) - (cursor.ordinal ?? Number.POSITIVE_INFINITY);
      lag.entries = Math.max(lag.entries, behind, feed.entries - entries);
      lag.bytes = Math.max(lag.bytes, feed.bytes - bytes);
    }
    return lag;
  }

  /** Ends the connection; the reason tells where to resume. What is pending still goes out. */
  close(code: number, reason: string = this.closeReason): void {
    if (!this.isOpen) return;
    this.#state = 'closing';
    this.#endAll();
    this.#transport.close(code, reason);
  }

  /** As `close`, with the code of an error. */
  dismiss(code: ErrorCode): void {
    this.close(ERRORS[code].close);
  }

  /** What every close of a subscriber of one channel says: where to resume. */
  get closeReason(): string {
    const [only, another] = this.#subscriptions;
    if (only === undefined || another !== undefined) return '';
    return cursorReason(formatCursor(only.cursor));
  }

  /** Gives the connection up at once. */
  destroy(): void {
    this.detach();
    this.#transport.destroy();
  }

  /** The connection is gone. */
  detach(): void {
    this.#state = 'closed';
    this.#endAll();
    this.#context.stalls.remove(this);
  }

  #count(bytes: number, entries: number): void {
    const sent = this.#sent;
    sent.writes += 1;
    sent.bytes += bytes;
    sent.entries += entries;
  }

  #endAll(): void {
    for (const subscription of this.#subscriptions) subscription.end();
    this.#context.gone(this);
  }

  #stall(memory: Memory): void {
    if (this.#state !== 'ready' && this.#state !== 'underway') return;
    this.#state = 'stalled';
    this.#hold(memory);
  }

  #hold(memory: Memory): void {
    const marks = this.#subscriptions.map(markOf);
    const sinceMs = this.#context.clock.monotonic();
    this.#context.stalls.add(this, { memory, sinceMs, marks });
  }
}

function markOf(subscription: Subscription): Mark {
  const { entries, bytes } = subscription.feed;
  return { subscription, entries, bytes };
}
