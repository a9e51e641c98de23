/** What is said to a person: on stderr, so that stdout is for what was asked for; in colour where that is wanted. */
import { styleText } from 'node:util';

/** Redrawn so often: faster than the eye follows, and too seldom to cost. */
const REDRAW_MS = 100;
/** What takes no longer needs no bar. */
const PATIENCE_MS = 500;
const BAR_WIDTH = 24;

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

/** Plain unless stdout is a terminal that shows colours; NO_COLOR, and TERM=dumb, are heard by Node. */
export function paint(style: Style, text: string): string {
  return process.stdout.isTTY && process.stdout.hasColors() ? styleText(style, text) : text;
}

export function say(line: string): void {
  process.stderr.write(`rivercast: ${line}\n`);
}

export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}

/** Columns as wide as they need to be, two spaces between them; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  return lines.map((line, i) => `${i === 0 ? paint('bold', line.trimEnd()) : line.trimEnd()}\n`).join('');
}

export interface Progress {
  readonly done: () => number;
  /** Of the input, from 0 to 1; null: nobody knows how much there is. */
  readonly share: () => number | null;
}

/** A line that is drawn anew while something long goes on, on a terminal only. Returns what takes it away. */
export function showProgress({ done, share }: Progress): () => void {
  const { stderr } = process;
  if (!stderr.isTTY) return () => undefined;
  const startMs = performance.now();
  let lastMs = startMs;
  let last = 0;
  let rate = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    if (now - startMs < PATIENCE_MS) return;
    const count = done();
    const current = ((count - last) * 1000) / (now - lastMs);
    // What a bar shows should be readable: the rate of about the last second.
    rate = last === 0 ? current : rate * 0.9 + current * 0.1;
    last = count;
    lastMs = now;
    stderr.write(`\r\x1b[K${progressLine(count, rate, share())}`);
  }, REDRAW_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    if (lastMs !== startMs) stderr.write('\r\x1b[K');
  };
}

export function progressLine(count: number, rate: number, share: number | null): string {
  const text = `${count.toLocaleString('en')} messages, ${Math.round(rate).toLocaleString('en')}/s`;
  if (share === null) return text;
  const full = Math.min(BAR_WIDTH, Math.floor(share * BAR_WIDTH));
  const percent = `${Math.min(100, Math.floor(share * 100))}`.padStart(3);
  return `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)} ${percent} %  ${text}`;
}
