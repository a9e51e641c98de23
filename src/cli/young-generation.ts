/**
 * Keeps the part of the heap for new objects small. Nearly all that a message makes is garbage by the next one; V8
 * lets that part grow to 16 MiB under load, of which each collection takes 5 to 10 ms and finds nothing in the
 * processor's cache. At 1 MiB a collection takes less than one, and a replay beside live readers is faster as well.
 *
 * V8 has a flag for it on the command line alone (`--max-semi-space-size`), which a program cannot give itself.
 * That it must not grow can be said later, if nothing is loaded yet: the modules of a server alone let it grow to
 * 8 MiB, and it does not shrink again.
 */
import { setFlagsFromString } from 'node:v8';

export function keepYoungGenerationSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
