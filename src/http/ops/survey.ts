/**
 * A look at all subscribers, in slices: how far each is behind, how many of which kind there are, and who is near the
 * edge where trimming takes away what it still needs.
 */
import type { Broadcaster } from '../../broadcaster/broadcaster.ts';
import { standingOf } from '../../broadcaster/standing.ts';
import type { Subscriber } from '../../broadcaster/subscriber.ts';
import type { Retention } from '../../channels.ts';
import type { Clock } from '../../clock.ts';
import type { Bounds, Log } from '../../log/log.ts';
import type { Cursor } from '../../protocol/cursor.ts';
import { idMs } from '../../protocol/id.ts';
import { type ByLabel, type LagReadings, lagDistributions } from '../../readings.ts';

/** From here on the edge is near. */
const NEAR_RATIO = 0.8;
/** The log is asked for the bounds of so many channels at most, and for so long. */
const MAX_CHANNELS_ASKED = 50;
const ASKING_MS = 500;

export interface SurveyOptions {
  readonly broadcaster: Broadcaster;
  readonly log: Log;
  readonly clock: Clock;
  readonly retention: (channel: string) => Retention;
  readonly classOf: (channel: string) => string;
}

export interface Survey {
  /** Subscribers by format and class of channel. */
  readonly connections: readonly ByLabel[];
  readonly lag: LagReadings;
}

export async function survey(options: SurveyOptions): Promise<Survey> {
  const { broadcaster, clock, classOf } = options;
  const { entries, seconds } = lagDistributions();
  const kinds = new Tally();
  const offRing = new Map<string, Cursor[]>();
  let worstEntries = 0;
  let worstSeconds = 0;
  await broadcaster.survey((subscriber) => {
    kinds.add(subscriber.format.name, classOfAll(subscriber, classOf));
    for (const subscription of subscriber.subscriptions) {
      const standing = standingOf(subscription, clock.now());
      if (standing.entries !== null) entries.observe(standing.entries);
      seconds.observe(standing.ms / 1000);
      worstEntries = Math.max(worstEntries, standing.entries ?? 0);
      worstSeconds = Math.max(worstSeconds, standing.ms / 1000);
      if (standing.offRing) push(offRing, subscription.feed.channel, subscription.cursor);
    }
  });
  const edge = await edgeOf(offRing, options);
  const connections = kinds.byLabel('subscriber');
  return { connections, lag: { entries, seconds, worstEntries, worstSeconds, edge } };
}

/** Connections of one role, by format and class. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(format: string, channelClass: string): void {
    const key = `${format} ${channelClass}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  byLabel(role: string): ByLabel[] {
    return [...this.#counts].map(([key, value]) => {
      const [format = '', channelClass = ''] = key.split(' ');
      return { labels: { role, format, channel_class: channelClass }, value };
    });
  }
}

function classOfAll({ subscriptions }: Subscriber, classOf: (channel: string) => string): string {
  const [first, ...others] = subscriptions;
  if (first === undefined) return 'none';
  const name = classOf(first.feed.channel);
  return others.every(({ feed }) => classOf(feed.channel) === name) ? name : 'several';
}

function push(lists: Map<string, Cursor[]>, key: string, cursor: Cursor): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [cursor]);
  else list.push(cursor);
}

/** Those who follow the ring have what they need in memory: only the others can lose it to a trim. */
async function edgeOf(
  offRing: ReadonlyMap<string, readonly Cursor[]>,
  { log, clock, retention }: SurveyOptions,
): Promise<LagReadings['edge']> {
  let worstRatio = 0;
  let near = 0;
  const deadline = clock.monotonic() + ASKING_MS;
  for (const [channel, cursors] of [...offRing].slice(0, MAX_CHANNELS_ASKED)) {
    const left = deadline - clock.monotonic();
    const bounds = left > 0 ? await boundsOf(log, channel, left) : null;
    if (bounds === null) break;
    for (const cursor of cursors) {
      const ratio = edgeRatio(cursor, bounds, { ...retention(channel), nowMs: clock.now() });
      worstRatio = Math.max(worstRatio, ratio);
      if (ratio > NEAR_RATIO) near += 1;
    }
  }
  return { worstRatio, near };
}

/** Null when the log does not answer in time. */
async function boundsOf(log: Log, channel: string, ms: number): Promise<Bounds | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms);
  });
  return Promise.race([log.bounds(channel).catch(() => null), late]).finally(() => clearTimeout(timer));
}

/**
 * How much of what is kept lies behind the cursor. Where nothing was trimmed yet it is what may be kept that counts:
 * one who reads a whole channel from its beginning is then in no danger.
 */
export function edgeRatio(
  cursor: Cursor,
  { tipOrdinal, length, floor, tip }: Bounds,
  kept: Pick<Retention, 'maxEntries' | 'maxAgeMs'> & { readonly nowMs: number },
): number {
  if (floor === null) return 0;
  const behind =
    cursor.ordinal === null ? length * shareOfTime(cursor, floor, tip) : tipOrdinal - cursor.ordinal;
  const byAge = (kept.nowMs - Math.max(idMs(cursor.id), idMs(floor))) / kept.maxAgeMs;
  const byEntries = behind / (tipOrdinal > length ? length : kept.maxEntries);
  return Math.min(1, Math.max(0, byEntries, byAge));
}

function shareOfTime(cursor: Cursor, floor: string, tip: string): number {
  const all = idMs(tip) - idMs(floor);
  return all <= 0 ? 0 : Math.min(1, (idMs(tip) - idMs(cursor.id)) / all);
}
