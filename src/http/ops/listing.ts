/** `GET /api/subscribers`: who is connected, the worst first. */
import type { Broadcaster } from '../../broadcaster/broadcaster.ts';
import { standingOf } from '../../broadcaster/standing.ts';
import type { Subscriber } from '../../broadcaster/subscriber.ts';
import type { Clock } from '../../clock.ts';
import { formatCursor } from '../../protocol/cursor.ts';

export const MAX_LISTED = 1000;
/** Beyond so many times what is asked for, those that will not be listed are let go. */
const SURPLUS = 4;

export type Order = 'lag' | 'stalled' | 'since';

interface Ranked {
  readonly subscriber: Subscriber;
  readonly rank: number;
}

export interface Listed {
  /** Of this process, from 1 on. */
  readonly id: number;
  readonly format: string;
  /** Where it connects from; null once that is not known any more. */
  readonly address: string | null;
  /** Whom its token names. */
  readonly subject: string | null;
  /** ISO. */
  readonly since: string;
  /** For how long its socket has taken nothing. */
  readonly stalledMs: number;
  readonly channels: readonly ListedChannel[];
}

interface ListedChannel {
  readonly channel: string;
  readonly cursor: string;
  /** Null: can not be told. */
  readonly lagEntries: number | null;
  readonly lagMs: number;
  /** Whether what it needs next is in memory. */
  readonly inMemory: boolean;
}

/** The first `limit` in the order asked for. */
export async function listSubscribers(
  broadcaster: Broadcaster,
  clock: Clock,
  { order, limit }: { readonly order: Order; readonly limit: number },
): Promise<Listed[]> {
  let ranked: Ranked[] = [];
  await broadcaster.survey((subscriber) => {
    ranked.push({ subscriber, rank: rankOf(subscriber, order, clock.now()) });
    if (ranked.length >= limit * SURPLUS) ranked = worst(ranked, limit);
  });
  const now = clock.now();
  return worst(ranked, limit).map(({ subscriber }) => listed(subscriber, now));
}

function worst(ranked: readonly Ranked[], limit: number): Ranked[] {
  return ranked.toSorted((a, b) => b.rank - a.rank).slice(0, limit);
}

/** By time, which all channels have in common. */
function rankOf(subscriber: Subscriber, order: Order, now: number): number {
  if (order === 'since') return -subscriber.sinceMs;
  if (order === 'stalled') return subscriber.lag.stalledMs;
  return subscriber.subscriptions.reduce((most, one) => Math.max(most, standingOf(one, now).ms), 0);
}

function listed(subscriber: Subscriber, now: number): Listed {
  const { id, format, sinceMs, peer, subscriptions } = subscriber;
  return {
    id,
    format: format.name,
    address: peer?.address ?? null,
    subject: peer?.subject ?? null,
    since: new Date(sinceMs).toISOString(),
    stalledMs: Math.round(subscriber.lag.stalledMs),
    channels: subscriptions.map((subscription) => {
      const { entries, ms, offRing } = standingOf(subscription, now);
      return {
        channel: subscription.feed.channel,
        cursor: formatCursor(subscription.cursor),
        lagEntries: entries,
        lagMs: Math.round(ms),
        inMemory: !offRing,
      };
    }),
  };
}
