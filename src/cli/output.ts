/**
 * Stdout for many small pieces: gathered for a turn of the event loop, then written at once. Whoever awaits `write` is
 * as fast as the reader, and what waits here stays below MAX_PENDING_BYTES and one piece.
 */
import { fstatSync, writeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { StartError } from '../errors.ts';

const MAX_PENDING_BYTES = 64 * 1024;
const STDOUT = 1;

export class Output {
  /** Whether the reader went away (`| head -1`): there is nobody to write to, and that is no failure. */
  isGone = false;
  readonly #stream: Writable;
  readonly #isFile: boolean;
  #pieces: (string | Uint8Array)[] = [];
  #bytes = 0;
  #error: Error | null = null;
  #turn: NodeJS.Immediate | null = null;

  constructor(stream: Writable = process.stdout) {
    this.#stream = stream;
    this.#isFile = stream === process.stdout && isFile(STDOUT);
    stream.on('error', (error) => this.#note(error));
  }

  /** Returns a promise only when it is to be waited for; it rejects as `flush` does. */
  write(piece: string | Uint8Array): Promise<void> | undefined {
    // Whoever does not wait, since what is written is not what it is for, must not fill the memory with it.
    if (this.isGone) return undefined;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#error !== null || this.#bytes >= MAX_PENDING_BYTES) return this.flush();
    this.#turn ??= setImmediate(() => {
      this.flush().catch(() => undefined);
    });
    return undefined;
  }

  /** Rejects with StartError when it could not be written, such as on a full disk. */
  async flush(): Promise<void> {
    if (this.#turn !== null) clearImmediate(this.#turn);
    this.#turn = null;
    const whole = this.#taken();
    if (whole.length > 0 && !this.isGone && this.#error === null) {
      if (this.#isFile) this.#writeFile(whole);
      else await this.#writeStream(whole);
    }
    if (this.#error === null) return;
    throw new StartError(`stdout can not be written: ${this.#error.message}`, 1, { cause: this.#error });
  }

  /** The stream that Node has for it takes it for done when the disk, or a limit, took a part. */
  #writeFile(whole: string | Uint8Array): void {
    const bytes = typeof whole === 'string' ? Buffer.from(whole) : whole;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(STDOUT, bytes, at);
    } catch (error) {
      this.#note(error as NodeJS.ErrnoException);
    }
  }

  #writeStream(whole: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.#stream.write(whole, (error) => {
        if (error !== null && error !== undefined) this.#note(error);
        resolve();
      });
    });
  }

  #note(error: NodeJS.ErrnoException): void {
    if (error.code === 'EPIPE') this.isGone = true;
    else this.#error ??= error;
  }

  #taken(): string | Uint8Array {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#bytes = 0;
    if (pieces.every((piece) => typeof piece === 'string')) return pieces.join('');
    return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)));
  }
}

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return false;
  }
}

/** All that a command has to say at once. Rejects with StartError when it could not be written. */
export async function print(text: string): Promise<void> {
  const output = new Output();
  await (output.write(text) ?? output.flush());
}
