/**
 * The keys of an identity provider, by the address of its key set (RFC 7517).
 *
 *   none ──first token──▶ fetched ──older than 10 min──▶ fetched anew, the old ones go on meanwhile
 *                           │  a token names a key that is not among them: fetched anew, but not twice in 30 s
 *
 * The address not answering is waited for with back-off, and costs the tokens of known keys nothing for a day.
 */
import { createLocalJWKSet, type JSONWebKeySet, type LocalJWKSet } from 'jose';
import { background } from '../../background.ts';
import { Backoff } from '../../backoff.ts';
import type { Clock } from '../../clock.ts';
import { RivercastError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';

const FRESH_MS = 10 * 60_000;
const USABLE_MS = 24 * 3600_000;
/** Anybody can send tokens that name keys which do not exist. */
const UNKNOWN_KEY_COOLDOWN_MS = 30_000;
const BACKOFF = { firstMs: 1000, maxMs: 60_000 } as const;
const TIMEOUT_MS = 5000;
/** A key takes less than 1 KiB. */
const MAX_BYTES: number = 256 * 1024;

export interface JwksOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Other keys are in use from now on. */
  readonly changed: () => void;
}

export class Jwks {
  readonly #options: JwksOptions;
  readonly #closing = new AbortController();
  #keys: LocalJWKSet | null = null;
  #text = '';
  #fetchedMs = 0;
  #triedMs = Number.NEGATIVE_INFINITY;
  readonly #backoff = new Backoff(BACKOFF);
  /** Before another try; 0 unless the last one failed. */
  #waitMs = 0;
  #fetching: Promise<void> | null = null;

  constructor(options: JwksOptions) {
    this.#options = options;
  }

  /** Rejects with RivercastError `auth_unavailable` when there are none, and none can be had. */
  async keys(): Promise<LocalJWKSet> {
    const ageMs = this.#now() - this.#fetchedMs;
    if (this.#keys === null || ageMs > USABLE_MS) await this.#fetch();
    else if (ageMs > FRESH_MS) this.#fetchBeside();
    if (this.#keys !== null && this.#now() - this.#fetchedMs <= USABLE_MS) return this.#keys;
    throw new RivercastError('auth_unavailable', 'the keys to check tokens with can not be had; try again');
  }

  /** A token names a key that is not among them: true when there are others now. */
  async refresh(): Promise<boolean> {
    if (this.#fetching === null && this.#now() - this.#triedMs < UNKNOWN_KEY_COOLDOWN_MS) return false;
    const before = this.#keys;
    await this.#fetch();
    return this.#keys !== before;
  }

  close(): void {
    this.#closing.abort();
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }

  #fetchBeside(): void {
    background('fetching the keys of tokens', this.#fetch(), this.#options.logger);
  }

  /** One at a time, and none before the back-off is over. Never rejects. */
  #fetch(): Promise<void> {
    if (this.#fetching === null) {
      if (this.#now() - this.#triedMs < this.#waitMs) return Promise.resolve();
      this.#triedMs = this.#now();
      this.#fetching = this.#load().finally(() => {
        this.#fetching = null;
      });
    }
    return this.#fetching;
  }

  async #load(): Promise<void> {
    const { url, logger, changed } = this.#options;
    try {
      const text = await fetchText(url, this.#closing.signal);
      if (text !== this.#text) {
        this.#keys = createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
        this.#text = text;
        changed();
      }
      if (this.#waitMs > 0) logger.info({ url }, 'the keys of tokens can be had again');
      this.#backoff.reset();
      this.#waitMs = 0;
      this.#fetchedMs = this.#now();
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      if (this.#waitMs === 0) logger.error({ err: error, url }, 'the keys of tokens can not be had');
      this.#waitMs = this.#backoff.nextMs();
    }
  }
}

/** Rejects when it takes too long, is too long, or is no answer. */
async function fetchText(url: string, closing: AbortSignal): Promise<string> {
  const signal = AbortSignal.any([closing, AbortSignal.timeout(TIMEOUT_MS)]);
  const headers = { Accept: 'application/jwk-set+json, application/json' };
  // Elsewhere may be anywhere: whoever answers decides who is let in.
  const response = await fetch(url, { signal, headers, redirect: 'error' });
  if (!response.ok || response.body === null) throw new Error(`answered with status ${response.status}`);
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body as AsyncIterable<Uint8Array>) {
    bytes += piece.length;
    if (bytes > MAX_BYTES) throw new Error(`a key set has at most ${MAX_BYTES} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}
