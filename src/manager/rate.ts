/**
 * How fast may somebody publish? Token buckets: each second brings `perSecond` tokens, up to as many as fit, and each
 * message takes one. Who is answered is refused without one; who is not is read no more until its debt is paid.
 *
 * A publisher is held by the bucket of its connection and by that of its subject, which all connections of the
 * subject share.
 */
import type { Clock } from '../clock.ts';

/** That of one connection, or of one subject. */
export class Bucket {
  readonly #perMs: number;
  readonly #size: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#size = perSecond;
    this.#tokens = perSecond;
    this.#atMs = nowMs;
  }

  /** How long until there is a token; 0: now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#tokens >= 1 ? 0 : Math.ceil((1 - this.#tokens) / this.#perMs);
  }

  /** Takes one, if need be on credit. */
  take(): void {
    this.#tokens -= 1;
  }

  isFull(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#tokens >= this.#size;
  }

  #fill(nowMs: number): void {
    this.#tokens = Math.min(this.#size, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
  }
}

export interface RateLimits {
  /** Messages a second; 0: as many as come. */
  readonly maxPublishesPerSecond: number;
  readonly maxPublishesPerSecondPerSubject: number;
}

export class Rates {
  readonly #clock: Clock;
  readonly #limits: RateLimits;
  readonly #subjects = new Map<string, Bucket>();

  constructor(clock: Clock, limits: RateLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Of a new connection; null: it may publish as fast as it can. */
  bucket(): Bucket | null {
    const { maxPublishesPerSecond } = this.#limits;
    return maxPublishesPerSecond > 0 ? new Bucket(maxPublishesPerSecond, this.#clock.monotonic()) : null;
  }

  /** What holds the messages of this subject on the connection of this bucket; null: nothing does. */
  of(own: Bucket | null, subject: string | null): Rate | null {
    const shared = this.#limits.maxPublishesPerSecondPerSubject > 0 ? subject : null;
    if (own === null && shared === null) return null;
    const bucketOf = (name: string): Bucket => this.#bucketOf(name);
    return new Rate(this.#clock, own, shared === null ? null : () => bucketOf(shared));
  }

  /** Regular work: forgets subjects at rest, whose next bucket will be as full as theirs is. */
  tick(): void {
    const now = this.#clock.monotonic();
    for (const [subject, bucket] of this.#subjects) if (bucket.isFull(now)) this.#subjects.delete(subject);
  }

  #bucketOf(subject: string): Bucket {
    let bucket = this.#subjects.get(subject);
    if (bucket === undefined) {
      bucket = new Bucket(this.#limits.maxPublishesPerSecondPerSubject, this.#clock.monotonic());
      this.#subjects.set(subject, bucket);
    }
    return bucket;
  }
}

/** What holds one publisher. */
export class Rate {
  readonly #clock: Clock;
  readonly #own: Bucket | null;
  readonly #shared: (() => Bucket) | null;

  constructor(clock: Clock, own: Bucket | null, shared: (() => Bucket) | null) {
    this.#clock = clock;
    this.#own = own;
    this.#shared = shared;
  }

  /** Takes a token for one message, and returns 0; or returns how many ms until there is one, and takes none. */
  take(): number {
    const waitMs = this.waitMs();
    if (waitMs === 0) this.#takeAll();
    return waitMs;
  }

  /** Takes a token in any case; returns how many ms until the next message may come. */
  owe(): number {
    this.#takeAll();
    return this.waitMs();
  }

  /** How many ms until the next message may come. */
  waitMs(): number {
    const now = this.#clock.monotonic();
    return Math.max(this.#own?.waitMs(now) ?? 0, this.#shared?.().waitMs(now) ?? 0);
  }

  #takeAll(): void {
    this.#own?.take();
    this.#shared?.().take();
  }
}
