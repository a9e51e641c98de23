/**
 * Files that are read again when they change. Whatever replaces them (a rename, a link that is turned, a volume that is
 * mounted anew, some of them unseen by the kernel's notices) changes what their paths lead to: that is looked at every
 * second, and nobody waits for it, since a file system may not answer.
 *
 * A single file is read at once. Several are one thing, and rarely replaced at once: what they lead to has to have
 * stood still for a second.
 */
import { stat } from 'node:fs/promises';
import { background, type FailureLogger } from './background.ts';

const LOOK_MS = 1000;

export interface WatchOptions {
  readonly paths: readonly string[];
  /** What they led to (`traceOf`) before they were read for the first time. */
  readonly seen: string;
  /** Reads them, and tells what comes of it. */
  readonly read: () => Promise<void>;
  readonly logger: FailureLogger;
}

export class WatchedFiles {
  readonly #options: WatchOptions;
  readonly #timer: NodeJS.Timeout;
  /** What the paths led to when they were last read, whether that could be used or not. */
  #seen: string;
  /** The same, of a change that is not a second old. */
  #changing: string | null = null;
  #work: Promise<void> = Promise.resolve();
  #isBusy = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#seen = options.seen;
    this.#timer = setInterval(this.#look, LOOK_MS).unref();
  }

  /** Reads the files again, whether they changed or not. Resolves when the outcome was told. */
  reload(): Promise<void> {
    // What went wrong was told to whoever asked then.
    this.#work = this.#work
      .catch(() => undefined)
      .then(async () => {
        this.#seen = await traceOf(this.#options.paths);
        this.#changing = null;
        await this.#options.read();
      });
    return this.#work;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  readonly #look = (): void => {
    // A file system that does not answer is asked once.
    if (this.#isBusy) return;
    this.#isBusy = true;
    const work = this.#compare().finally(() => {
      this.#isBusy = false;
    });
    background('looking at files', work, this.#options.logger);
  };

  async #compare(): Promise<void> {
    const { paths } = this.#options;
    const trace = await traceOf(paths);
    if (trace === this.#seen) this.#changing = null;
    else if (paths.length === 1 || trace === this.#changing) await this.reload();
    else this.#changing = trace;
  }
}

/** What the paths lead to: another file, or the same one changed, leaves another trace. */
export async function traceOf(paths: readonly string[]): Promise<string> {
  return (await Promise.all(paths.map(traceOfFile))).join(' ');
}

async function traceOfFile(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}
