/**
 * The fenced blocks of the documents, and what the words behind their language mean:
 *
 *   sh, js            is run, and has to end well: shells by bash, JavaScript by Node
 *   … browser         JavaScript for a page: run in Chromium
 *   … console         pasted into the browser's console on the server's own page
 *   … endless         goes on for ever: has to say something, and is stopped
 *   … needs=wscat     is run where that command is; `python3.websockets`: where that module is
 *   … no-run          cannot be run here (installs something, needs another machine); counted
 *   json, nothing     is shown, and not run
 *
 * Any other language or word is a mistake.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Block {
  readonly file: string;
  /** Of its first line of code. */
  readonly line: number;
  readonly language: string;
  readonly words: ReadonlySet<string>;
  readonly code: string;
}

/** Those that something runs; the others show what is sent, seen or drawn. */
const RUNNABLE: ReadonlySet<string> = new Set(['sh', 'js', 'html', 'python', 'go', 'jsx']);
const SHOWN: ReadonlySet<string> = new Set(['', 'json']);
const WORDS: ReadonlySet<string> = new Set(['browser', 'console', 'endless', 'no-run']);
const NEEDS = 'needs=';

export function documents(): string[] {
  const pages = readdirSync('docs', { encoding: 'utf8' }).filter((name) => name.endsWith('.md'));
  return ['README.md', ...pages.toSorted().map((name) => join('docs', name))];
}

export function blocksOf(file: string): Block[] {
  return blocksIn(file, readFileSync(file, 'utf8'));
}

/** As it stands between two fences. */
interface Fenced {
  readonly line: number;
  readonly info: string;
  readonly code: string[];
}

const FENCE = /^( *)(```+|~~~+)(.*)$/;

/** Throws when a block is written in a way that would leave it out without a word. */
export function blocksIn(file: string, text: string): Block[] {
  const all: Fenced[] = [];
  let open: Fenced | null = null;
  for (const [index, row] of text.split('\n').entries()) {
    const [, indent, fence, info = ''] = FENCE.exec(row) ?? [];
    if (fence === undefined) {
      open?.code.push(row);
      continue;
    }
    if (fence !== '```' || indent !== '') throw new Error(`${file}:${index + 1}: ${HOW}`);
    if (open !== null) all.push(open);
    open = open === null ? { line: index + 2, info: info.trim(), code: [] } : null;
  }
  if (open !== null) throw new Error(`${file}:${open.line - 1}: a block without an end`);
  return all.map((fenced) => blockOf(file, fenced)).filter((block) => block !== null);
}

const HOW = 'write a block with three backquotes, at the beginning of a line';

/** Null when it is there to be looked at. */
function blockOf(file: string, { line, info, code }: Fenced): Block | null {
  const [language = '', ...words] = info.split(/\s+/);
  const unknown = words.find((word) => !WORDS.has(word) && !word.startsWith(NEEDS));
  if (unknown !== undefined) throw new Error(`${file}:${line - 1}: nobody knows the word ${unknown}`);
  if (SHOWN.has(language)) return null;
  if (!RUNNABLE.has(language)) throw new Error(`${file}:${line - 1}: nothing runs ${language}`);
  return { file, line, language, words: new Set(words), code: `${code.join('\n')}\n` };
}

/** What its `needs=` names. */
export function needs({ words }: Block): string[] {
  return [...words].filter((word) => word.startsWith(NEEDS)).map((word) => word.slice(NEEDS.length));
}
