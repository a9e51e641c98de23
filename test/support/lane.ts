/** What a connection needs to know of its limits, with none that a test would meet by chance. */
import { systemClock } from '../../src/clock.ts';
import { Incomplete } from '../../src/http/limits/incomplete.ts';
import type { ConnectionContext } from '../../src/http/ws/connection.ts';
import type { LaneLimits } from '../../src/http/ws/fast-lane.ts';
import { ReadTurns } from '../../src/http/ws/read-turns.ts';

const MANY = 1_000_000;
const ROOM_BYTES = 64 * 1024 * 1024;

export function laneLimits(maxMessageBytes: number): LaneLimits {
  return { maxMessageBytes, maxFragments: 128, maxControlFrames: MANY, maxFrames: null };
}

export function limited(
  maxMessageBytes: number,
): Pick<ConnectionContext, 'limits' | 'incomplete' | 'turns' | 'crossed'> {
  const incomplete = new Incomplete(ROOM_BYTES);
  const turns = new ReadTurns(systemClock);
  return { limits: laneLimits(maxMessageBytes), incomplete, turns, crossed: () => undefined };
}
