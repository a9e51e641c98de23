/**
 * What does not work just now, and why: one reason per part. A line is logged when a part's reason appears,
 * changes its kind or goes away, never once per try. A part that is `lame` is logged only: one channel that
 * can not be read, because its key is of another type, leaves the log as a whole in order.
 */

export interface RedisLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export class Trouble {
  readonly #logger: RedisLogger | undefined;
  readonly #reasons = new Map<string, string>();
  readonly #lame = new Set<string>();

  constructor(logger: RedisLogger | undefined) {
    this.#logger = logger;
  }

  set(part: string, reason: string): void {
    const before = this.#reasons.get(part);
    this.#reasons.set(part, reason);
    if (before === undefined || kindOf(before) !== kindOf(reason)) {
      this.#logger?.error({ part, reason }, 'the Redis log is in trouble; it is retried');
    }
  }

  lame(part: string, reason: string): void {
    if (this.#lame.has(part)) return;
    this.#lame.add(part);
    this.#logger?.error({ part, reason }, 'one channel of the Redis log is in trouble; it is retried');
  }

  clear(part: string): void {
    if (this.#reasons.delete(part) || this.#lame.delete(part))
      this.#logger?.info({ part }, 'the Redis log works again');
  }

  note(reason: string, fields: object): void {
    this.#logger?.warn(fields, reason);
  }

  /** One of the reasons, or null when all is well. */
  get reason(): string | null {
    for (const [part, reason] of this.#reasons) return `${part}: ${reason}`;
    return null;
  }
}

/** Reasons hold changing parts (deadlines, hashes of scripts); the first words tell the kind. */
function kindOf(reason: string): string {
  return reason.split(' ', 4).join(' ');
}
