/** What documents and sources say about names and files that can be checked without running anything. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { SETTINGS } from '../src/config.ts';

const documents = [
  ...readdirSync('.').filter((file) => file.endsWith('.md')),
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
].map((file) => ({ file, text: readFileSync(file, 'utf8') }));

/** Upper-case words with an underscore that are no settings: constants of other programs, and such. */
const NOT_SETTINGS = new Set([
  'NODE_ENV',
  'RIVERCAST_TOKEN',
  'RIVERCAST_URL',
  'NODE_EXTRA_CA_CERTS',
  'NODE_OPTIONS',
  'NODE_V8_COVERAGE',
  'NO_COLOR',
  'OTEL_SERVICE_NAME',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
]);

const SOURCES = ['src', 'test', 'bench', 'chaos'].flatMap((root) => [
  root,
  ...readdirSync(root, { recursive: true, encoding: 'utf8' }).map((path) => join(root, path)),
]);

test('every relative link leads to a file, and to a heading of it', () => {
  for (const { file, text } of documents) {
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = '', heading] = target.split('#');
      const found = path === '' ? file : join(dirname(file), path);
      assert.ok(existsSync(found), `${file} links to ${target}`);
      if (heading !== undefined) {
        assert.ok(headings(readFileSync(found, 'utf8')).includes(heading), `${file} links to ${target}`);
      }
    }
  }
});

/** On the page of a registry, and in node_modules, there is nothing else. */
test('every file of the package that links to another one has it with it', () => {
  const { files } = JSON.parse(readFileSync('package.json', 'utf8')) as { files: readonly string[] };
  const isIn = (path: string): boolean => files.some((one) => path === one || path.startsWith(`${one}/`));
  for (const { file, text } of documents.filter(({ file }) => isIn(file))) {
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s#]+)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const path = join(dirname(file), target);
      assert.ok(isIn(path), `${file} links to ${path}, which is not in the package`);
    }
  }
});

test('every name that a document puts in place of a link has one, and is used', () => {
  for (const { file, text } of documents) {
    const used = new Set([...text.matchAll(/\]\[([\w-]+)\]/g)].map(([, name]) => name));
    const defined = new Set([...text.matchAll(/^\[([\w-]+)\]: https:\/\/\S+$/gm)].map(([, name]) => name));
    assert.deepEqual(used, defined, file);
  }
});

test('every setting that a document names exists', () => {
  const names = new Set(SETTINGS.map((setting) => setting.name));
  for (const { file, text } of documents) {
    for (const [, name = ''] of text.matchAll(/(?<![A-Za-z0-9_.])`?([A-Z]+(?:_[A-Z]+)+)\b(?=`|=)/g)) {
      assert.ok(names.has(name) || NOT_SETTINGS.has(name), `${file} names ${name}`);
    }
  }
});

test('docs/configuration.md has every setting', () => {
  const text = readFileSync('docs/configuration.md', 'utf8');
  for (const { name, flag } of SETTINGS) assert.ok(text.includes(`\`${name}\`<br>\`${flag}\``), name);
});

test('every make target and npm script that a document names exists', () => {
  const makefile = readFileSync('Makefile', 'utf8');
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  for (const { file, text } of documents) {
    for (const [, target = ''] of text.matchAll(/(?:^|`|\/\S+ )make ([a-z][a-z-]*)/gm)) {
      assert.match(makefile, new RegExp(`^${target}:`, 'm'), `${file}: make ${target}`);
    }
    for (const [, script = ''] of text.matchAll(/npm run ([a-z:-]+)/g)) {
      assert.ok(scripts[script], `${file}: npm run ${script}`);
    }
  }
});

test('every source file that a document names exists', () => {
  for (const { file, text } of documents) {
    for (const name of filesIn(text)) assert.ok(isSource(name), `${file} names ${name}`);
  }
});

test('every file that the comments under src name exists', () => {
  for (const path of SOURCES.filter((file) => /^src\/.*\.ts$/.test(file))) {
    for (const name of filesIn(readFileSync(path, 'utf8')))
      assert.ok(isSource(name), `${path} names ${name}`);
  }
});

test('every folder that docs/architecture.md names exists', () => {
  const text = readFileSync('docs/architecture.md', 'utf8');
  for (const [, name = ''] of text.matchAll(/`([a-z][a-z\d/-]*)\/`/g)) assert.ok(isSource(name), name);
});

/** `block.ts`, `log/log.ts`, `config*.ts`. What an import says, `./x.ts`, is not looked at. */
function filesIn(text: string): string[] {
  return [...text.matchAll(/(?<![\w./*-])[\w*][\w./*-]*\.ts\b/g)].map(([name]) => name);
}

/** By the end of its path. */
function isSource(name: string): boolean {
  const pattern = name.replaceAll('.', '\\.').replaceAll('*', '[^/]*');
  return SOURCES.some((path) => new RegExp(`(^|/)${pattern}$`).test(path));
}

/** The anchors that GitHub makes. */
function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
