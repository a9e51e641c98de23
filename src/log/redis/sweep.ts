/**
 * The sweep over all channels in Redis: retention for those that get no entries, and an end for those that got
 * none for long (scripts/sweep.lua). One server at a time does it: who holds the lease, which its holder gives
 * back and which runs out when the holder is dead. Two that sweep at once would do no harm, only work.
 *
 * It goes gently: a few channels at a time, a bounded number of entries each, and a pause after.
 */
import { randomBytes } from 'node:crypto';
import { pause } from '../../backoff.ts';
import { CHANNEL_TTL_MS, forgetAfterMs, type Retention } from '../../channels.ts';
import type { Clock } from '../../clock.ts';
import type { Swept } from '../log.ts';
import type { Reply } from './connection/reply.ts';
import { channelKeys, sweepKey } from './keys.ts';
import type { Reader } from './reader.ts';
import type { Registry } from './registry.ts';
import { boundText, loadScript, runForEach, runScript, type ScriptCall } from './script.ts';

const SWEEP = loadScript('sweep');
const LEASE = loadScript('lease');
const NAMES_PER_PAGE = 500;
const CHANNELS_PER_CALL = 20;
const REMOVED_PER_CALL = 1000;
const PAUSE_MS = 5;

/** How the sweep goes, where it is not as usual. */
export interface SweepTimes {
  /** After so long another server takes over from one that died. */
  readonly leaseMs: number;
  /** How long a channel without new entries is kept. */
  readonly channelTtlMs: number;
}

export const SWEEP_TIMES: SweepTimes = { leaseMs: 30_000, channelTtlMs: CHANNEL_TTL_MS };

export interface SweepOptions {
  readonly stream: string;
  readonly clock: Clock;
  readonly reader: Reader;
  readonly registry: Registry;
  readonly retention: (channel: string) => Retention;
  readonly times: SweepTimes;
}

type Count = { -readonly [Key in keyof Swept]: Swept[Key] };

/** Null when another server is at it. Rejects as `Log.read` does. */
export async function sweep(options: SweepOptions, signal: AbortSignal): Promise<Swept | null> {
  const lease = new Lease(options);
  if (!(await lease.take())) return null;
  const swept: Count = { channels: 0, removed: 0, forgotten: 0 };
  try {
    for await (const names of pagesOf(options)) {
      for (let at = 0; at < names.length; at += CHANNELS_PER_CALL) {
        if (signal.aborted || !(await lease.keep())) return swept;
        await sweepSome(options, names.slice(at, at + CHANNELS_PER_CALL), { swept, lease, signal });
      }
    }
    return swept;
  } finally {
    // Whoever does not get through leaves it to run out.
    await lease.giveBack().catch(() => undefined);
  }
}

/**
 * The default channel first, also when it is not noted, as by a server that was killed right after its append:
 * others add to it by the name they know, and what they add would go with its time to live, which nobody moves on.
 */
async function* pagesOf({ stream, registry }: SweepOptions): AsyncGenerator<readonly string[]> {
  yield [stream];
  for (let after: string | null = null; ; ) {
    const names = await registry.names(after, NAMES_PER_PAGE);
    yield names.filter((name) => name !== stream);
    if (names.length < NAMES_PER_PAGE) return;
    after = names.at(-1) ?? null;
  }
}

interface Walk {
  readonly swept: Count;
  readonly lease: Lease;
  readonly signal: AbortSignal;
}

async function sweepSome(
  options: SweepOptions,
  names: readonly string[],
  { swept, lease, signal }: Walk,
): Promise<void> {
  swept.channels += names.length;
  let unfinished = names;
  while (unfinished.length > 0 && !signal.aborted && (await lease.keep())) {
    unfinished = await sweepOnce(options, unfinished, swept);
    await pause(PAUSE_MS, signal);
  }
}

/** Returns the channels that have more to remove. */
async function sweepOnce(options: SweepOptions, names: readonly string[], swept: Count): Promise<string[]> {
  const { registry, reader, stream } = options;
  const calls = names.map((name) => callFor(options, name));
  const replies = await reader.ask((link, ms) => runForEach(link, calls, ms));
  const unfinished: string[] = [];
  for (const [i, reply] of replies.entries()) {
    const name = names[i] as string;
    const [state, removed, more] = (reply as readonly Reply[]).map(String);
    swept.removed += Number(removed);
    if (more === '1') unfinished.push(name);
    if (name === stream && state === 'kept') registry.note(stream, null);
    if (state !== 'gone' || name === stream) continue;
    await registry.drop(name);
    swept.forgotten += 1;
  }
  return unfinished;
}

function callFor({ stream, retention, times }: SweepOptions, channel: string): ScriptCall {
  const kept = retention(channel);
  const keys = channelKeys(stream, channel);
  const endMs = forgetAfterMs(kept, times.channelTtlMs);
  const bounds = [kept.maxEntries, kept.maxBytes, kept.maxAgeMs, endMs, REMOVED_PER_CALL].map(boundText);
  return { script: SWEEP, keys: [keys.stream, keys.meta], args: bounds };
}

/** The right to sweep. */
class Lease {
  readonly #options: SweepOptions;
  readonly #key: string;
  readonly #token = randomBytes(12).toString('base64url');
  #extendedMs = 0;

  constructor(options: SweepOptions) {
    this.#options = options;
    this.#key = sweepKey(options.stream);
  }

  async take(): Promise<boolean> {
    const { reader, times, clock } = this.#options;
    const args = [this.#key, this.#token, 'NX', 'PX', `${times.leaseMs}`];
    this.#extendedMs = clock.monotonic();
    const reply = await reader.ask((link, ms) => link.call('set', args, ms));
    // The reply to the first try may have been lost.
    return reply !== null || (await this.#set(times.leaseMs));
  }

  /** False when it was lost to another server. */
  async keep(): Promise<boolean> {
    const { times, clock } = this.#options;
    const nowMs = clock.monotonic();
    if (nowMs - this.#extendedMs < times.leaseMs / 3) return true;
    this.#extendedMs = nowMs;
    return this.#set(times.leaseMs);
  }

  async giveBack(): Promise<void> {
    await this.#set(0);
  }

  async #set(ms: number): Promise<boolean> {
    const call = { script: LEASE, keys: [this.#key], args: [this.#token, `${ms}`] };
    return (await this.#options.reader.ask((link, deadlineMs) => runScript(link, call, deadlineMs))) === 1;
  }
}
