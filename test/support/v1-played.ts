/** A session of `rivercast.v1` over a log in memory, with a client that a test plays. */

import type { Admission } from '../../src/broadcaster/admission.ts';
import { V1 } from '../../src/broadcaster/formats/v1.ts';
import { type V1Connection, V1Session } from '../../src/broadcaster/v1-session.ts';
import { ANYBODY } from '../../src/grant.ts';
import { Refusals } from '../../src/refusals.ts';
import { silent } from './broadcast-rig.ts';
import { FollowedLog, turn } from './followed-log.ts';
import { RecordingTransport } from './recording-transport.ts';
import type { V1Frame } from './v1-client.ts';

class PlayedConnection extends RecordingTransport implements V1Connection {
  isPaused = false;

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }
}

export class V1Played implements AsyncDisposable {
  readonly followed: FollowedLog;
  readonly connection: PlayedConnection = new PlayedConnection();
  readonly session: V1Session;
  #taken = 0;

  constructor(followed: FollowedLog = new FollowedLog({ ringBytes: 1024 * 1024 })) {
    const { broadcaster, clock } = followed;
    this.followed = followed;
    this.session = new V1Session({
      broadcaster,
      connection: this.connection,
      clock,
      logger: silent,
      format: V1,
      caller: ANYBODY,
      maxChannels: 100,
      hello: { server: 'test', heartbeat: 25 },
      refusals: new Refusals(),
    });
    this.#taken = 1;
  }

  ask(...frames: readonly object[]): void {
    for (const frame of frames) this.session.receive(Buffer.from(JSON.stringify(frame)), false);
  }

  /** What was said since the last call. */
  frames(): V1Frame[] {
    const all = this.connection.texts.map((text) => JSON.parse(text) as V1Frame);
    const frames = all.slice(this.#taken);
    this.#taken = all.length;
    return frames;
  }

  /** The same, once what was asked had its turns. */
  async answers(): Promise<V1Frame[]> {
    for (let i = 0; i < 50; i++) await turn();
    return this.frames();
  }

  /** Where a channel could be followed from now, and the tail to push pages to. */
  admit(channel: string): Promise<Admission> {
    return this.followed.broadcaster.admit(channel, { at: 'latest' });
  }

  drain(): void {
    this.connection.drain();
    this.session.drained();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.session.detach();
    this.followed.log.release('wait');
    await this.followed[Symbol.asyncDispose]();
  }
}

/** Type and channel of each frame, and the code of an error. */
export function outline(frames: readonly V1Frame[]): string[] {
  return frames.map(({ type, channel, code }) => {
    const parts = [type, code, channel].filter((part) => typeof part === 'string');
    return parts.join(' ');
  });
}
