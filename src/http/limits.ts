/** The limits whose crossing ends a connection or a request, by name, and how often each has. */

export type LimitName =
  | 'sockets'
  | 'handshake_time'
  | 'request_time'
  | 'headers'
  | 'message_bytes'
  | 'fragments'
  | 'control_frames'
  | 'subscriber_frames'
  | 'incomplete_bytes';

export type LimitCounts = Readonly<Record<LimitName, number>>;

export class LimitCounter {
  readonly #counts: Record<LimitName, number> = {
    sockets: 0,
    handshake_time: 0,
    request_time: 0,
    headers: 0,
    message_bytes: 0,
    fragments: 0,
    control_frames: 0,
    subscriber_frames: 0,
    incomplete_bytes: 0,
  };

  /** Somebody was refused. */
  count(limit: LimitName): void {
    this.#counts[limit] += 1;
  }

  get counts(): LimitCounts {
    return { ...this.#counts };
  }
}
