/** A logger that remembers every line with its fields, and lets a test wait for one. */
import { EventEmitter, on } from 'node:events';

export class Told {
  /** `<message> <fields as JSON>` */
  readonly lines: string[] = [];
  readonly #events = new EventEmitter();

  readonly info = (fields: object, message: string): void => this.#add(fields, message);
  readonly warn = (fields: object, message: string): void => this.#add(fields, message);
  readonly error = (fields: object, message: string): void => this.#add(fields, message);

  /** Resolves once such a line was logged. */
  async until(wanted: RegExp): Promise<void> {
    if (this.lines.some((line) => wanted.test(line))) return;
    const signal = AbortSignal.timeout(10_000);
    for await (const [line] of on(this.#events, 'line', { signal })) if (wanted.test(String(line))) return;
  }

  #add(fields: object, message: string): void {
    const line = `${message} ${JSON.stringify(fields)}`;
    this.lines.push(line);
    this.#events.emit('line', line);
  }
}
