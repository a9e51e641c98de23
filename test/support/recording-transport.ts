/** A connection that a test plays: it keeps what is written, and takes it or pushes back as told. */
import type { Transport, WriteOutcome } from '../../src/broadcaster/transport.ts';
import { parseFrame } from './raw-socket.ts';

export class RecordingTransport implements Transport {
  readonly writes: Buffer[] = [];
  /** How the next writes end. */
  outcome: WriteOutcome = 'taken';
  /** Called in the middle of every write. */
  onWrite: (() => void) | null = null;
  closedWith: { readonly code: number; readonly reason: string } | null = null;
  destroyed = false;

  /** The payloads of all frames written, as text. */
  get texts(): string[] {
    const texts: string[] = [];
    for (let bytes of this.writes) {
      while (bytes.length > 0) {
        const next = parseFrame(bytes);
        if (next === null) throw new Error('a write ends inside a frame');
        texts.push(next.frame.payload.toString());
        bytes = bytes.subarray(next.end);
      }
    }
    return texts;
  }

  write(bytes: Buffer): WriteOutcome {
    if (this.outcome === 'closed') return 'closed';
    this.writes.push(bytes);
    this.onWrite?.();
    return this.outcome;
  }

  close(code: number, reason: string): void {
    this.closedWith = { code, reason };
  }

  destroy(): void {
    this.destroyed = true;
  }

  /** The peer reads on: nothing is pending, and writes are taken again. The caller tells the subscriber. */
  drain(): void {
    this.outcome = 'taken';
  }
}
