/**
 * What this process does about the keys that its appends left in Redis. Appends themselves forget the oldest;
 * where no more come, keys that were known for long enough are unlinked from here: they expire too, but then
 * Redis frees up to half a million of them in one go, and answers nobody meanwhile.
 */
import { background } from '../../background.ts';
import type { Idempotency } from '../../config/shape.ts';
import type { Keeper } from './connection/keeper.ts';
import { RedisFault } from './connection/link.ts';
import { channelKeys } from './keys.ts';
import { loadScript, runScript } from './script.ts';
import type { RedisLogger, Trouble } from './trouble.ts';

const FORGET = loadScript('forget');
/** A generation is forgotten a third of a window after its last key was known for the whole of it. */
const LIFE = 4 / 3;
const MIN_RETRY_MS = 1000;

export interface KeyMemoryOptions extends Idempotency {
  readonly stream: string;
  /** Not the one for appends, where a call may have to wait for replicas. */
  readonly keeper: Keeper;
  readonly trouble: Trouble;
  readonly logger: RedisLogger;
  readonly onForgottenEarly: (channel: string) => void;
  readonly callMs: number;
  readonly signal: AbortSignal;
}

export class KeyMemory {
  readonly #options: KeyMemoryOptions;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(options: KeyMemoryOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => {
      for (const timer of this.#timers.values()) clearTimeout(timer);
      this.#timers.clear();
    });
  }

  /** For how many ms, and how many, keys are known at least: as the script takes it. */
  get bounds(): [windowMs: string, maxKeys: string] {
    return [`${this.#options.windowMs}`, `${this.#options.maxKeys}`];
  }

  /** An append to the channel had keys. `forgotten`: how many others it made Redis forget before their time. */
  written(channel: string, forgotten: number): void {
    if (forgotten > 0) this.#options.onForgottenEarly(channel);
    if (!this.#timers.has(channel)) this.#forgetIn(channel, this.#options.windowMs * LIFE);
  }

  #forgetIn(channel: string, ms: number): void {
    if (this.#options.signal.aborted) return;
    const forget = (): void => background('forgetting keys', this.#forget(channel), this.#options.logger);
    const timer = setTimeout(forget, Math.ceil(ms) + 2);
    this.#timers.set(channel, timer.unref());
  }

  async #forget(channel: string): Promise<void> {
    const { stream, keeper, callMs, windowMs, trouble } = this.#options;
    const { meta, generation } = channelKeys(stream, channel);
    const call = { script: FORGET, keys: [meta, generation], args: [`${windowMs}`] };
    try {
      const nextMs = Number(await runScript(await keeper.get(), call, callMs));
      trouble.clear(`forgetting keys of ${channel}`);
      if (nextMs < 0) this.#timers.delete(channel);
      else this.#forgetIn(channel, nextMs);
    } catch (error) {
      if (!(error instanceof RedisFault)) throw error;
      if (error.kind === 'configuration') trouble.lame(`forgetting keys of ${channel}`, error.message);
      this.#forgetIn(channel, Math.max(MIN_RETRY_MS, windowMs / 12));
    }
  }
}
