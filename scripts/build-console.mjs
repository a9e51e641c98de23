/**
 * Builds the console (console/) if a source of it has changed since, and copies it to where the compiled server looks.
 *
 *   node scripts/build-console.mjs dist
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const MADE = 'console/dist';
const ASSETS = join(MADE, 'console');
const STAMP = join(MADE, '.stamp');
/** What it is made of. */
const SOURCES = [
  'console/index.html',
  'console/vite.config.mjs',
  'console/src',
  'src/client',
  'package-lock.json',
];

const target = process.argv[2];
if (target === undefined) throw new Error('usage: build-console.mjs <compiled src folder>');

const stamp = stampOf(SOURCES);
if (!existsSync(STAMP) || readFileSync(STAMP, 'utf8') !== stamp) {
  rmSync(MADE, { recursive: true, force: true });
  const { build } = await import('vite');
  await build({ configFile: 'console/vite.config.mjs' });
  const assets = readdirSync(ASSETS).map((name) => join(ASSETS, name));
  for (const file of assets) writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
  writeFileSync(STAMP, stamp);
}
cpSync(MADE, join(target, 'console'), { recursive: true, filter: (path) => path !== STAMP });

function stampOf(paths) {
  const hash = createHash('sha256');
  for (const file of paths.flatMap(filesIn)) hash.update(`${file}\0`).update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

function filesIn(path) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path)
    .toSorted()
    .flatMap((name) => filesIn(join(path, name)));
}
