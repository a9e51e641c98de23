/**
 * Stdout for many small pieces: gathered for a turn of the event loop, then written at once. Whoever awaits `write` is
 * as fast as the reader, and what waits here stays below MAX_PENDING_BYTES and one piece.
 */
import { StartError } from '../errors.ts';

const MAX_PENDING_BYTES = 64 * 1024;

export class Output {
  /** Whether the reader went away (`| head -1`): there is nobody to write to, and that is no failure. */
  isGone = false;
  #pieces: (string | Uint8Array)[] = [];
  #bytes = 0;
  #error: Error | null = null;
  #turn: NodeJS.Immediate | null = null;

  constructor() {
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') this.isGone = true;
      else this.#error = error;
    });
  }

  /** Returns a promise only when it is to be waited for. */
  write(piece: string | Uint8Array): Promise<void> | undefined {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes >= MAX_PENDING_BYTES) return this.flush();
    this.#turn ??= setImmediate(() => {
      this.flush().catch(() => undefined);
    });
    return undefined;
  }

  /** Rejects with StartError when it could not be written, such as on a full disk. */
  async flush(): Promise<void> {
    if (this.#turn !== null) clearImmediate(this.#turn);
    this.#turn = null;
    if (this.#bytes > 0 && !this.isGone) {
      const whole = this.#taken();
      await new Promise<void>((resolve) => {
        process.stdout.write(whole, () => resolve());
      });
    }
    if (this.#error === null) return;
    throw new StartError(`stdout can not be written: ${this.#error.message}`, 1, { cause: this.#error });
  }

  #taken(): string | Uint8Array {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    if (pieces.every((piece) => typeof piece === 'string')) return pieces.join('');
    return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)));
  }
}
