/** A broadcaster over a log in memory, with connections that a test plays. */
import { Broadcaster } from '../../src/broadcaster/broadcaster.ts';
import { RAW } from '../../src/broadcaster/formats/raw.ts';
import type { Subscriber } from '../../src/broadcaster/subscriber.ts';
import type { Subscription } from '../../src/broadcaster/subscription.ts';
import type { BroadcasterConfig } from '../../src/config.ts';
import type { Gap } from '../../src/log/log.ts';
import type { Cursor } from '../../src/protocol/cursor.ts';
import type { Start } from '../../src/protocol/start.ts';
import { silent } from './broadcast-rig.ts';
import { ManualClock } from './clock.ts';
import { GatedLog } from './gated-log.ts';
import { RecordingTransport } from './recording-transport.ts';
import { until } from './within.ts';

export const CHANNEL = 'c';

/** A ring that keeps only the newest block, and writes of 4 KiB. */
const TINY: BroadcasterConfig = {
  ringBytes: 1,
  writeBytes: 4096,
  stalledBytes: 1024 * 1024,
  slowAfterMs: 30_000,
  slowEntries: 100_000,
  slowBytes: 64 * 1024 * 1024,
  maxCatchUps: 500,
};

export interface Follower {
  readonly subscriber: Subscriber;
  readonly subscription: Subscription;
  readonly transport: RecordingTransport;
  readonly startedAt: Cursor;
  /** What its start had lost already. */
  readonly gap: Gap | null;
}

export class FollowedLog implements AsyncDisposable {
  readonly clock: ManualClock = new ManualClock();
  readonly log: GatedLog = new GatedLog({ clock: this.clock });
  readonly broadcaster: Broadcaster;

  constructor(config: Partial<BroadcasterConfig> = {}) {
    const { clock, log } = this;
    this.broadcaster = new Broadcaster({ log, clock, logger: silent, config: { ...TINY, ...config } });
  }

  async publish(...texts: string[]): Promise<void> {
    await this.log.append(
      CHANNEL,
      texts.map((text) => ({ type: 'text', data: Buffer.from(text) })),
    );
  }

  /** Each in a block of its own, so that the ring holds the last of them. */
  async publishApart(...texts: string[]): Promise<void> {
    for (const text of texts) {
      await this.publish(text);
      await turn();
    }
  }

  async follow(start: Start, onGap: 'fail' | 'skip' = 'fail'): Promise<Follower> {
    const transport = new RecordingTransport();
    const admission = await this.broadcaster.admit(CHANNEL, start);
    const startedAt = admission.cursor ?? admission.tail.ring.end;
    const subscriber = this.broadcaster.join(transport, RAW);
    const close = onGap === 'fail' ? 'close' : 'skip';
    const subscription = this.broadcaster.subscribe(subscriber, admission, close);
    return { subscriber, subscription, transport, startedAt, gap: admission.gap };
  }

  /** The cursor after the entry that is followed by `count` more. */
  async cursorBefore(count: number): Promise<Cursor> {
    return this.log.inner.locate(CHANNEL, { at: 'last', count });
  }

  /** Resolves when everybody who is open and not stalled has been written all that the log holds. */
  async settled(followers: readonly Follower[]): Promise<void> {
    const { tip } = await this.log.inner.bounds(CHANNEL);
    const done = ({ subscriber, subscription, transport }: Follower): boolean =>
      !subscriber.isOpen ||
      transport.outcome !== 'taken' ||
      (subscription.feed.ring.end.id === tip && subscription.cursor.id === tip);
    for (let turns = 0; turns < 100; turns++) {
      if (followers.every(done)) return;
      await turn();
    }
    await until('everybody has everything', () => followers.every(done));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broadcaster.close();
    await this.log.close();
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
