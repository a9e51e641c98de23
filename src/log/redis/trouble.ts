/**
 * What does not work just now, and why: one reason per part. A line is logged when a part's reason appears,
 * changes its kind or goes away, never once per try. A part that is `lame` is logged only: one channel whose
 * key is of another type leaves the log as a whole in order.
 *
 * A reason counts for as long as work is there that meets it. Work that is given up before anything succeeded
 * has proven nothing, so no line says that the part works again; but it does not fail the probe either.
 */

import type { Side } from '../log.ts';

export interface RedisLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

interface Part {
  readonly reason: string;
  /** The work that meets it: a wait, an append. */
  readonly work: Set<object>;
}

export class Trouble {
  readonly #logger: RedisLogger;
  readonly #parts = new Map<string, Part>();
  readonly #lame = new Set<string>();

  constructor(logger: RedisLogger) {
    this.#logger = logger;
  }

  set(part: string, reason: string, work: object): void {
    const known = this.#parts.get(part);
    if (known === undefined || kindOf(known.reason) !== kindOf(reason)) {
      this.#logger.error({ part, reason }, 'the Redis log is in trouble; it is retried');
    }
    this.#parts.set(part, { reason, work: (known?.work ?? new Set()).add(work) });
  }

  lame(part: string, reason: string): void {
    if (this.#lame.has(part)) return;
    this.#lame.add(part);
    this.#logger.error({ part, reason }, 'one channel of the Redis log is in trouble; it is retried');
  }

  clear(part: string): void {
    const wasSet = this.#parts.delete(part);
    if (this.#lame.delete(part) || wasSet) this.#logger.info({ part }, 'the Redis log works again');
  }

  /** `work` has ended, well or not. */
  end(work: object): void {
    for (const part of this.#parts.values()) part.work.delete(work);
  }

  note(reason: string, fields: object): void {
    this.#logger.warn(fields, reason);
  }

  /** One of the reasons, or null when all is well. */
  get reason(): string | null {
    return this.reasonOf();
  }

  /** The same, of what concerns one side alone. */
  reasonOf(side?: Side): string | null {
    for (const [name, { reason, work }] of this.#parts) {
      const isOther = side !== undefined && side !== sideOf(name);
      if (work.size > 0 && !isOther) return `${name}: ${reason}`;
    }
    return null;
  }
}

function sideOf(part: string): Side {
  return part.startsWith('append') ? 'append' : 'read';
}

/**
 * Reasons hold changing parts (deadlines, addresses, hashes of scripts). What Redis itself says is known by its first
 * words; a connection that fails does so in many ways, in turns, and all of them are one kind.
 */
function kindOf(reason: string): string {
  return /(?:^|: )([A-Z]{2,}( \S+){1,3})/.exec(reason)?.[1] ?? 'connection';
}
