/**
 * Following one channel: its messages, what became of the connection, and what came after it was lost: what the channel
 * had by the time that the connection was there again, by its newest id.
 */
import type { Gap, Message, Subscription, SubscriptionState } from '../../../src/client/index.ts';
import { ask, refuse } from '../access.ts';
import type { ChannelInfo } from '../channels-view.tsx';
import { count, span } from '../format.ts';
import { Store } from '../store.ts';
import { Scrollback } from './scrollback.ts';
import { Wire } from './wire.ts';

/** Lines of the journal that are kept. */
const MAX_NOTES = 100;
/** More than the client's own: messages come in bursts, and are taken at once. */
const BUFFER = 10_000;

export type Tone = 'plain' | 'good' | 'warn' | 'bad';

export interface Note {
  readonly no: number;
  readonly atMs: number;
  readonly tone: Tone;
  readonly text: string;
}

export interface Standing {
  readonly channel: string;
  readonly after: string;
  readonly state: SubscriptionState;
  readonly isCut: boolean;
}

/** What comes after a connection was lost and made again. */
interface Comeback {
  /** Ids of what came, until it is known which of it was stored meanwhile. */
  early: string[];
  /** The newest message that there was by then; null: not known yet. */
  tip: string | null;
  messages: number;
  /** Null: more than can be known. */
  lost: number | null;
}

export class LiveSession {
  readonly scrollback = new Scrollback();
  readonly notes = new Store<readonly Note[]>([]);
  readonly standing: Store<Standing>;
  readonly wire = new Wire();
  #subscription: Subscription<unknown> | null = null;
  #cursor: string | null = null;
  #lostMs: number | null = null;
  #comeback: Comeback | null = null;
  #noteNo = 0;

  constructor(channel: string) {
    this.standing = new Store<Standing>({ channel, after: '', state: 'connecting', isCut: false });
  }

  follow(channel: string, after: string): void {
    this.#subscription?.unsubscribe();
    this.#forget();
    this.scrollback.clear();
    const { isCut } = this.standing.get();
    this.standing.set({ channel, after, state: 'connecting', isCut });
    this.#note('plain', `Following ${channel} from ${after}`);
    const subscription: Subscription<unknown> = this.wire.river.subscribe(channel, {
      after,
      buffer: BUFFER,
      onMessage: (message) => this.#take(message),
      onGap: (gap) => this.#meet(gap),
      onState: (state, error) => {
        // One that was left tells of its end, too.
        if (this.#subscription === subscription || this.#subscription === null) this.#became(state, error);
      },
    });
    this.#subscription = subscription;
  }

  /** Where nothing is followed the channel is but that to publish to. */
  name(channel: string): void {
    this.standing.set({ ...this.standing.get(), channel });
  }

  close(): void {
    this.#forget();
    this.wire.river.close();
  }

  cut(): void {
    this.standing.set({ ...this.standing.get(), isCut: true });
    this.#note('warn', `Cut${this.#cursor === null ? '' : ` after ${this.#cursor}`}`);
    this.wire.cut();
  }

  mend(): void {
    this.standing.set({ ...this.standing.get(), isCut: false });
    this.wire.mend();
  }

  #take(message: Message): void {
    this.#cursor = message.cursor;
    this.scrollback.take(message);
    const comeback = this.#comeback;
    if (comeback === null) return;
    if (comeback.tip === null) comeback.early.push(message.id);
    else this.#count(comeback, comeback.tip, message.id);
  }

  #meet(gap: Gap): void {
    this.#cursor = gap.cursor;
    this.scrollback.meet(gap);
    this.#note('bad', `Gap: ${gapText(gap)}`);
    const comeback = this.#comeback;
    if (comeback !== null) {
      comeback.lost = comeback.lost === null || gap.lost === null ? null : comeback.lost + gap.lost;
    }
  }

  #became(state: SubscriptionState, error: Error | null): void {
    const before = this.standing.get();
    this.standing.set({ ...before, state });
    if (state === 'ended' && error !== null) this.#ended(error);
    if (before.state === 'live' && state === 'connecting') {
      this.#lostMs = Date.now();
      if (!before.isCut)
        this.#note('warn', `Connection lost${this.#cursor === null ? '' : ` after ${this.#cursor}`}`);
    }
    if (state !== 'live') return;
    if (this.#lostMs === null) {
      if (before.state === 'connecting' && this.scrollback.received === 0) this.#note('good', 'Live');
      return;
    }
    const place = this.#cursor === null ? '' : `, going on after ${this.#cursor}`;
    this.#note('good', `Back after ${span(Date.now() - this.#lostMs)}${place}`);
    this.#lostMs = null;
    this.#catchUp().catch(() => undefined);
  }

  #ended(error: Error): void {
    this.#note('bad', `Ended: ${error.message}`);
    if ('code' in error && error.code === 'unauthenticated') refuse(error.message);
  }

  async #catchUp(): Promise<void> {
    const comeback: Comeback = { early: [], tip: null, messages: 0, lost: 0 };
    this.#comeback = comeback;
    const before = this.#cursor;
    const answer = await ask<ChannelInfo>(`/api/channels/${encodeURIComponent(this.standing.get().channel)}`);
    if (this.#comeback !== comeback) return;
    if (!('ok' in answer)) {
      this.#comeback = null;
      return;
    }
    const { tip } = answer.ok;
    comeback.tip = tip;
    // Nothing came meanwhile: nothing is to be awaited.
    if (before !== null && !isAfter(tip, before)) return this.#caughtUp(comeback);
    const { early } = comeback;
    comeback.early = [];
    for (const id of early) this.#count(comeback, tip, id);
  }

  #count(comeback: Comeback, tip: string, id: string): void {
    if (this.#comeback !== comeback) return;
    if (!isAfter(id, tip)) comeback.messages += 1;
    if (!isAfter(tip, id)) this.#caughtUp(comeback);
  }

  #caughtUp(comeback: Comeback): void {
    this.#comeback = null;
    const { messages, lost } = comeback;
    const came = messages === 1 ? '1 message that was' : `${count(messages)} messages that were`;
    const missing =
      lost === null ? 'some are missing' : lost === 0 ? 'none missing' : `${count(lost)} missing`;
    this.#note(lost === 0 ? 'good' : 'bad', `Caught up: ${came} stored meanwhile, ${missing}`);
  }

  #forget(): void {
    this.#subscription = null;
    this.#comeback = null;
    this.#cursor = null;
    this.#lostMs = null;
  }

  #note(tone: Tone, text: string): void {
    const note = { no: this.#noteNo++, atMs: Date.now(), tone, text };
    this.notes.set([...this.notes.get(), note].slice(-MAX_NOTES));
  }
}

/** Of two ids or cursors, whether the first one is that of a later message. */
function isAfter(a: string, b: string): boolean {
  const [aMs = 0, aSeq = 0] = a.split(/[-@]/, 2).map(Number);
  const [bMs = 0, bSeq = 0] = b.split(/[-@]/, 2).map(Number);
  return aMs > bMs || (aMs === bMs && aSeq > bSeq);
}

export function gapText({ lost, reason }: Gap): string {
  const what =
    lost === null ? 'messages that nobody counted' : lost === 1 ? '1 message' : `${count(lost)} messages`;
  return `${what} can not be had any more (${reason})`;
}
