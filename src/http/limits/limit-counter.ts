/** The limits whose crossing ends a connection or a request, by name, and how often each was crossed. */

const NAMES = [
  'sockets',
  'handshake_time',
  'request_time',
  'headers',
  'message_bytes',
  'fragments',
  'control_frames',
  'subscriber_frames',
  'incomplete_bytes',
] as const;

export type LimitName = (typeof NAMES)[number];

export type LimitCounts = Readonly<Record<LimitName, number>>;

export class LimitCounter {
  readonly #counts = Object.fromEntries(NAMES.map((name) => [name, 0])) as Record<LimitName, number>;

  /** Somebody crossed it. */
  count(limit: LimitName): void {
    this.#counts[limit] += 1;
  }

  get counts(): LimitCounts {
    return { ...this.#counts };
  }
}
