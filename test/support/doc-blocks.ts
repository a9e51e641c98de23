/**
 * The fenced blocks of the documents, and what the words behind their language mean:
 *
 *   sh, js            is run, and has to end well: shells by bash, JavaScript by Node
 *   … browser         JavaScript for a page: run in Chromium
 *   … console         pasted into the browser's console on the server's own page
 *   … endless         goes on for ever: has to say something, and is stopped
 *   … needs=wscat     is run where that command is
 *   … no-run          cannot be run here (installs something, needs another machine); counted
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

/** Languages that something can run; the others (json, text) show what is sent or seen. */
const RUNNABLE: ReadonlySet<string> = new Set(['sh', 'js', 'html', 'python', 'go', 'jsx', 'ts']);

export function documents(): string[] {
  const pages = readdirSync('docs', { encoding: 'utf8' }).filter((name) => name.endsWith('.md'));
  return ['README.md', ...pages.toSorted().map((name) => join('docs', name))];
}

export function blocksOf(file: string): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; info: string; code: string[] } | null = null;
  readFileSync(file, 'utf8')
    .split('\n')
    .forEach((text, index) => {
      if (open === null) {
        if (text.startsWith('```')) open = { line: index + 2, info: text.slice(3), code: [] };
      } else if (text.startsWith('```')) {
        const [language = '', ...words] = open.info.trim().split(/\s+/);
        if (RUNNABLE.has(language)) {
          const code = `${open.code.join('\n')}\n`;
          blocks.push({ file, line: open.line, language, words: new Set(words), code });
        }
        open = null;
      } else open.code.push(text);
    });
  return blocks;
}

/** What its `needs=` names. */
export function needs({ words }: Block): string[] {
  return [...words].filter((word) => word.startsWith('needs=')).map((word) => word.slice(6));
}
