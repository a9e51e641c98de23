/**
 * The publishers' connections: each speaks for itself to the manager, raw or in `rivercast.v1`. At a stop they are
 * told to go elsewhere, those that are answered once everything they asked for is.
 */
import type { Clock } from '../../clock.ts';
import { ERRORS } from '../../errors.ts';
import type { Caller } from '../../grant.ts';
import type { Manager } from '../../manager/manager.ts';
import { Publisher } from '../../manager/publisher.ts';
import type { Rate } from '../../manager/rate.ts';
import { V1Publisher } from '../../manager/v1-publisher.ts';
import type { Hello } from '../../protocol/v1.ts';
import { PONG_FRAME } from '../../protocol/websocket-frame.ts';
import type { Refusals } from '../../refusals.ts';
import { untilEmpty } from '../connections/connections.ts';
import type { Connection, ConnectionUser } from './connection.ts';
import { isReset } from './reset.ts';

/** How long a publisher may take to answer a close; what a raw one sends until then is stored. */
export const PUBLISHER_CLOSE_MS = 2000;

const STOPPING = 'the server is stopping';

export interface PublishDoorOptions {
  readonly manager: Manager;
  readonly maxMessageBytes: number;
  readonly clock: Clock;
  readonly hello: Hello;
  readonly idleTimeoutMs: number;
  readonly refusals: Refusals;
}

/** A publisher that is connected. */
export interface Connected {
  readonly format: 'raw' | 'v1';
  /** The one it was opened for; in v1 a message may name another. */
  readonly channel: string;
}

export class PublishDoor {
  readonly #options: PublishDoorOptions;
  readonly #raw = new Map<Connection, Publisher>();
  readonly #answered = new Map<Connection, V1Publisher>();
  /** Publishers that came. */
  readonly joined: Record<Connected['format'], number> = { raw: 0, v1: 0 };

  constructor(options: PublishDoorOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#raw.size + this.#answered.size;
  }

  /** Those who are there. */
  *publishers(): Generator<Connected> {
    for (const { channel } of this.#raw.values()) yield { format: 'raw', channel };
    for (const { channel } of this.#answered.values()) yield { format: 'v1', channel };
  }

  /** `rate`: null where it may publish as fast as it can. */
  openRaw(connection: Connection, channel: string, rate: Rate | null): void {
    const publisher = new Publisher(this.#options.manager, channel, connection, rate);
    this.#raw.set(connection, publisher);
    this.joined.raw += 1;
    const user: ConnectionUser = {
      drained: () => undefined,
      detach: () => {
        this.#raw.delete(connection);
        publisher.detach();
      },
      visit: () => probeOf(publisher, connection),
      receive: (data, isBinary) => publisher.publish(isBinary ? 'binary' : 'text', data),
      dismiss: (code, reason) => {
        sendAway(publisher, connection, { close: ERRORS[code].close, reason });
      },
      closeReason: '',
    };
    connection.user = user;
  }

  openV1(
    connection: Connection,
    channel: string,
    who: { readonly caller: Caller; readonly rate: Rate | null },
  ): void {
    const publisher = new V1Publisher({ ...this.#options, ...who, connection, channel });
    this.#answered.set(connection, publisher);
    this.joined.v1 += 1;
    const user: ConnectionUser = {
      drained: () => publisher.drained(),
      stalled: () => publisher.stalled(),
      detach: () => {
        this.#answered.delete(connection);
        publisher.detach();
      },
      visit: () => {
        publisher.visit();
        return null;
      },
      receive: (data, isBinary) => publisher.receive(data, isBinary),
      dismiss: (code, reason) => publisher.dismiss(code, reason),
      closeReason: '',
    };
    connection.user = user;
  }

  /**
   * Tells publishers to go elsewhere: raw ones at once, the others once they are answered, or when `signal` aborts.
   * Resolves when they are gone, or after they had time to.
   */
  async close(signal: AbortSignal): Promise<void> {
    const { close } = ERRORS.draining;
    for (const [connection, publisher] of this.#raw) {
      sendAway(publisher, connection, { close, reason: STOPPING });
    }
    for (const publisher of this.#answered.values()) publisher.dismiss('draining', STOPPING);
    const soon = AbortSignal.any([signal, AbortSignal.timeout(PUBLISHER_CLOSE_MS)]);
    await untilEmpty(this.#answered, soon);
    // Whoever does not take its answers must not hold up the stop.
    for (const publisher of this.#answered.values()) if (publisher.isBlocked) publisher.end();
    await untilEmpty(this.#answered, signal);
    for (const publisher of this.#answered.values()) publisher.end();
    await untilEmpty(this.#raw, AbortSignal.any([signal, AbortSignal.timeout(PUBLISHER_CLOSE_MS)]));
  }
}

/**
 * What a raw publisher is sent so that its going is noticed while it waits for its rate, which may be hours. Its socket
 * is not read then, and the end of it lies behind all that it sent. A host answers what comes for somebody who has gone
 * with a reset: by the next visit that is known, and what has come is read at once, to the end.
 */
function probeOf(publisher: Publisher, connection: Connection): Buffer | null {
  if (!publisher.isInDebt) return null;
  if (!isReset(connection.socket)) return PONG_FRAME;
  readTheRest(publisher, connection);
  return null;
}

/** A raw publisher is told to go. What it has sent is stored. */
function sendAway(
  publisher: Publisher,
  connection: Connection,
  why: { readonly close: number; readonly reason: string },
): void {
  if (publisher.isInDebt && isReset(connection.socket)) {
    readTheRest(publisher, connection);
    return;
  }
  connection.close(why.close, why.reason);
  publisher.leave();
}

/** It has gone, and is told nothing: a write to its socket would destroy what waits in it. */
function readTheRest(publisher: Publisher, connection: Connection): void {
  connection.hurry();
  publisher.leave();
}
