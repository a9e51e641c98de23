/**
 * The names of the channels that Rivercast wrote to, kept in Redis beside the streams. An append notes its
 * channel, once a minute at most and again whenever the history is another one; it waits for nothing and fails
 * by nothing here: what could not be written is tried again in the background. A channel that is noted too
 * often does no harm, and one that is missing comes back with its next append.
 */
import { background } from '../../background.ts';
import type { Clock } from '../../clock.ts';
import type { ChannelBounds, ChannelPage } from '../log.ts';
import { redisBackoff } from './connection/backoff.ts';
import type { Reply } from './connection/reply.ts';
import { channelKeys, registryKey } from './keys.ts';
import type { Reader } from './reader.ts';
import { loadScript, runForEach } from './script.ts';
import type { RedisLogger } from './trouble.ts';

const LIST = loadScript('list');
const NOTE_EVERY_MS = 60_000;
const NAMES_PER_WRITE = 1000;
/** Redis serves nobody else while it answers for so many. */
const CHANNELS_PER_LOOK = 100;

export interface RegistryOptions {
  readonly stream: string;
  readonly clock: Clock;
  readonly reader: Reader;
  readonly random: () => number;
  readonly logger: RedisLogger;
  /** Ends the attempts to write. */
  readonly signal: AbortSignal;
}

export class Registry {
  readonly #options: RegistryOptions;
  readonly #key: string;
  /** The epoch of each channel noted since `#sinceMs`. */
  readonly #noted = new Map<string, string | null>();
  readonly #unwritten = new Set<string>();
  #sinceMs: number;
  #isWriting = false;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#key = registryKey(options.stream);
    this.#sinceMs = options.clock.monotonic();
  }

  /** Something was appended to the channel, within `epoch`. */
  note(channel: string, epoch: string | null): void {
    const nowMs = this.#options.clock.monotonic();
    if (nowMs - this.#sinceMs >= NOTE_EVERY_MS) {
      this.#noted.clear();
      this.#sinceMs = nowMs;
    }
    if (this.#noted.get(channel) === epoch && this.#noted.has(channel)) return;
    this.#noted.set(channel, epoch);
    this.#unwritten.add(channel);
    if (!this.#isWriting) background('noting channels', this.#write(), this.#options.logger);
  }

  /** The names after `after`, in order. */
  async names(after: string | null, limit: number): Promise<string[]> {
    await this.#add([...this.#unwritten].slice(0, NAMES_PER_WRITE));
    const from = after === null ? '-' : `(${after}`;
    const args = [this.#key, from, '+', 'BYLEX', 'LIMIT', '0', `${limit}`];
    const reply = await this.#options.reader.ask((link, ms) => link.call('zrange', args, ms));
    return (reply as readonly Reply[]).map(String);
  }

  /** Names without a stream are passed over, so that a page may hold less than its limit. */
  async page({ after, limit }: { after: string | null; limit: number }): Promise<ChannelPage> {
    const names = await this.names(after, limit + 1);
    const hasMore = names.length > limit;
    const listed = names.slice(0, limit);
    const channels: ChannelBounds[] = [];
    for (let at = 0; at < listed.length; at += CHANNELS_PER_LOOK) {
      channels.push(...(await this.#look(listed.slice(at, at + CHANNELS_PER_LOOK))));
    }
    return { channels, cursor: hasMore ? (listed.at(-1) ?? null) : null };
  }

  /** Forgets a channel whose stream was not there; unless it is by now. */
  async drop(channel: string): Promise<void> {
    const { reader, stream } = this.#options;
    const exists = await reader.ask(async (link, ms) => {
      await link.call('zrem', [this.#key, channel], ms);
      return link.call('exists', [channelKeys(stream, channel).stream], ms);
    });
    if (exists === 1) await this.#add([channel]);
  }

  async #look(names: readonly string[]): Promise<ChannelBounds[]> {
    const { reader, stream } = this.#options;
    const calls = names.map((channel) => {
      const keys = channelKeys(stream, channel);
      return { script: LIST, keys: [keys.stream, keys.meta], args: [] };
    });
    const replies = await reader.ask((link, ms) => runForEach(link, calls, ms));
    return replies.flatMap((reply, i) => boundsIn(names[i] as string, reply));
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    const { random, signal, logger } = this.#options;
    const backoff = redisBackoff(random);
    let isTold = false;
    this.#isWriting = true;
    while (this.#unwritten.size > 0 && !signal.aborted) {
      try {
        await this.#add([...this.#unwritten].slice(0, NAMES_PER_WRITE));
        backoff.reset();
      } catch (error) {
        if (!isTold && !signal.aborted) {
          logger.warn({ err: error }, 'channels can not be noted in the list of channels; it is retried');
        }
        isTold = true;
        await backoff.wait(signal);
      }
    }
    this.#isWriting = false;
  }

  async #add(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const args = [this.#key, ...names.flatMap((name) => ['0', name])];
    await this.#options.reader.ask((link, ms) => link.call('zadd', args, ms));
    for (const name of names) this.#unwritten.delete(name);
  }
}

function boundsIn(channel: string, reply: Reply): ChannelBounds[] {
  const [epoch, floor, tip, added, length] = (reply as readonly Reply[]).map(String);
  if (tip === undefined || tip === '0-0') return [];
  const bounds = {
    channel,
    epoch: epoch || null,
    floor: floor || null,
    tip,
    tipOrdinal: Number(added),
    length: Number(length),
  };
  return [bounds];
}
