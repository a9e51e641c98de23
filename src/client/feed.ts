/**
 * A channel on one connection, asked for once, for all in this client that follow it from the same place.
 *
 *   idle ──asked──▶ asked ──subscribed──▶ live        asked, live ──lost──▶ idle
 */
import type { RiverError } from './error.ts';
import type { EventStream } from './host.ts';
import { LATEST } from './limits.ts';
import type { Frame } from './link.ts';
import { isNoLater } from './message.ts';
import type { Subscription } from './subscription.ts';

export class Feed {
  readonly channel: string;
  state: 'idle' | 'asked' | 'live' = 'idle';
  /** Under which it was asked for last; 0: not yet. */
  ref = 0;
  readonly members: Set<Subscription<unknown>> = new Set();
  /** What carries it where WebSockets are blocked. */
  stream: EventStream | null = null;
  /** It was refused for a while, and is asked for again after it. */
  retry: ReturnType<typeof setTimeout> | undefined;
  /** The last id there was when it began. */
  #tip: string | undefined;

  constructor(channel: string) {
    this.channel = channel;
  }

  /** Where it goes on. All members stand there. */
  get after(): string {
    const [first] = this.members;
    return first?.after ?? '';
  }

  /**
   * Whether one that starts after this place may join in. Newcomers alone do not know where it stands: those they came to
   * have left before they were told.
   */
  fits(after: string): boolean {
    if (this.state !== 'live') return after === this.after;
    const [first] = this.members;
    if (first?.state !== 'live') return false;
    if (after !== LATEST) return this.isAt(after);
    // One that is far behind has nothing for those who begin now.
    return this.#tip !== undefined && isNoLater(this.#tip, first.after);
  }

  isAt(cursor: string): boolean {
    return placeOf(cursor) === placeOf(this.after);
  }

  /** A frame of the server about this channel. */
  take(frame: Frame): void {
    if (frame.type === 'subscribed') {
      this.state = 'live';
      this.#tip = frame.tip;
    } else if (this.state !== 'live') return;
    for (const subscription of [...this.members]) subscription.take(frame);
  }

  lost(): void {
    this.state = 'idle';
    for (const subscription of [...this.members]) subscription.lost();
  }

  end(error: RiverError): void {
    for (const subscription of [...this.members]) subscription.end(error);
  }
}

/** A cursor without the count of entries behind it, which not every one has. */
function placeOf(cursor: string): string {
  return cursor.replace(/\..*/, '');
}
