/** Plain WebSocket messages: each entry is one, with the same bytes. Nothing else can be said. */
import type { Encodable, Encoding, Format } from '../format.ts';

class RawFormat implements Format {
  readonly name = 'raw';

  encode({ frames, frameEnds, ids }: Encodable, from: number, to: number): Encoding {
    if (from === 0 && to === ids.length) return { bytes: frames, unitEnds: frameEnds, entryEnds: null };
    const start = from === 0 ? 0 : (frameEnds[from - 1] as number);
    const unitEnds = frameEnds.slice(from, to).map((end) => end - start);
    return { bytes: frames.subarray(start, frameEnds[to - 1]), unitEnds, entryEnds: null };
  }

  notice(): null {
    return null;
  }

  position(): null {
    return null;
  }
}

export const RAW: Format = new RawFormat();
