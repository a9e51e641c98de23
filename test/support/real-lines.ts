/** Lines that nobody made up for a test: those of the documents and sources that lie on every such machine. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const MAX_LINE_LENGTH = 64 * 1024;

/** The first `count` lines of the Markdown, JavaScript and declaration files of the installed packages. */
export function realLines(count: number): string[] {
  const lines: string[] = [];
  for (const file of filesOf(packagesFolder())) {
    const text = readFileSync(file, 'utf8');
    lines.push(...text.split('\n').filter((line) => line.length <= MAX_LINE_LENGTH));
    if (lines.length >= count) return lines.slice(0, count);
  }
  throw new Error(`only ${lines.length} lines here`);
}

/** The node_modules folder that holds the libraries of this project. */
function packagesFolder(): string {
  let folder = dirname(createRequire(import.meta.url).resolve('ws'));
  while (!existsSync(join(folder, 'ws', 'package.json'))) folder = dirname(folder);
  return folder;
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(md|d\.ts|js)$/.test(path))
    .toSorted()
    .map((path) => join(folder, path))
    .filter((path) => statSync(path).isFile());
}
