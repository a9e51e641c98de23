/** The sizes that the documents name are those of what is built here. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { bundle } from '../support/browser-page.ts';

const KIB = 1024;
/** A figure is said with one decimal, and a compiler's next version is not to make it a lie. */
const TOLERANCE = 0.05;
const CONSOLE = fileURLToPath(new URL('../../src/console/', import.meta.url));

/** In KiB: as a bundler makes it, minified and compressed. */
async function clientSize(part: string): Promise<number> {
  const code = await bundle(`export * from './src/client/${part}'`, 'esm');
  return gzipSync(code, { level: 9 }).length / KIB;
}

function consoleSize(): number {
  const assets = join(CONSOLE, 'console');
  const zipped = readdirSync(assets).filter((name) => name.endsWith('.gz'));
  const page = gzipSync(readFileSync(join(CONSOLE, 'index.html'))).length;
  return zipped.reduce((sum, name) => sum + readFileSync(join(assets, name)).length, page) / KIB;
}

/** Each figure of the document, by the words behind it. */
function told(file: string, words: string): number {
  const found = new RegExp(`(\\d+(?:\\.\\d)?) KiB ${words}`).exec(readFileSync(file, 'utf8'));
  assert.ok(found, `${file} names no KiB ${words}`);
  return Number(found[1]);
}

for (const [what, measure, places] of [
  [
    'the client',
    () => clientSize('index.ts'),
    [
      ['README.md', 'of a page'],
      ['docs/client.md', 'of a page'],
      ['docs/sizing.md', 'minified and gzipped; no'],
    ],
  ],
  [
    'the console',
    async () => consoleSize(),
    [
      ['docs/console.md', 'gzipped'],
      ['docs/sizing.md', 'gzipped: the page'],
    ],
  ],
] as const) {
  test(`the size of ${what}`, async (t) => {
    const size = await measure();
    t.diagnostic(`${what}: ${size.toFixed(1)} KiB`);
    for (const [file, words] of places) {
      const figure = told(file, words);
      assert.ok(
        Math.abs(figure - size) < size * TOLERANCE,
        `${file}: ${figure} KiB, it is ${size.toFixed(1)}`,
      );
    }
  });
}
