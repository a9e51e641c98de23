/**
 * Who may import whom, as a table: the map of the source tree. Type-only imports count too. The linter has
 * most of these rules as well, for the editor; this test is the whole of them.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { test } from 'node:test';

/** A path below src, or a folder (ending in `/`), → what it may import from src besides its own folder. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'protocol/': [],
  'client/': [],
  'log/': ['protocol/', 'leaf'],
  'manager/': ['protocol/', 'leaf', 'log/log.ts'],
  'broadcaster/': ['protocol/', 'leaf', 'log/log.ts'],
  'http/': ['protocol/', 'leaf', 'log/log.ts', 'manager/', 'broadcaster/'],
  'server.ts': ['protocol/', 'leaf', 'log/', 'manager/', 'broadcaster/', 'http/'],
  'cli/': ['leaf', 'server.ts', 'client/'],
  // A client without a connection: what it gives is what that of the package gives.
  'local-subscription.ts': ['protocol/', 'leaf', 'broadcaster/', 'client/'],
  'create-server.ts': [
    ...['protocol/', 'leaf', 'log/open.ts', 'manager/', 'http/'],
    ...['local-subscription.ts', 'server.ts'],
  ],
  'index.ts': ['leaf', 'server.ts', 'create-server.ts', 'local-subscription.ts'],
  leaf: ['leaf', 'protocol/close.ts'],
};
const LEAVES = [
  'api-keys',
  'backoff',
  'background',
  'bursts',
  'channels',
  'clock',
  'config',
  'distribution',
  'errors',
  'grant',
  'logger',
  'metrics',
  'pace',
  'readings',
  'refusals',
  'tracing',
  'turnstile',
  'version',
  'watched-files',
];

/** A package, or a part of Node → the only places that may import it. A library of a store: one file. */
const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  ioredis: ['log/'],
  lmdb: ['log/'],
  // A command passes its class to the client, which has none of its own: Node has one since 22 only.
  ws: ['http/', 'cli/'],
  fastify: ['http/'],
  'node:http': ['http/', 'create-server.ts'],
  'node:https': ['http/'],
  zod: ['config.ts', 'config/'],
  jose: ['http/', 'cli/'],
  react: ['client/react.ts'],
  '@opentelemetry/api': ['tracing.ts'],
  pino: ['logger.ts'],
  'pino-pretty': ['logger.ts'],
  'prom-client': ['metrics.ts'],
  commander: ['cli/'],
};
const ONE_FILE_ONLY = ['ioredis', 'lmdb'];

/** What the console is made of besides its own files: what any page could be. */
const OF_CONSOLE = [
  '../../src/client/index.ts',
  'preact',
  'preact/hooks',
  'uplot',
  'uplot/dist/uPlot.min.css',
];

/** `import x, { y } from 'z'`, `export * from 'z'`, `import 'z'`, `import('z')`. */
const IMPORT =
  /^(?:import|export)\s+(?:type\s+)?[\w$*\s,]*(?:\{[^}]*\})?\s*from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm;

interface Import {
  readonly from: string;
  readonly to: string;
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' });
}

/** Paths are below the folder. */
function readImports(folder: string): Import[] {
  const files = filesOf(folder).filter((file) => /\.tsx?$/.test(file));
  return files.flatMap((from) => {
    const found = readFileSync(join(folder, from), 'utf8').matchAll(IMPORT);
    return [...found].map((match) => {
      const target = (match[1] ?? match[2] ?? match[3]) as string;
      return { from, to: target.startsWith('.') ? normalize(join(from, '..', target)) : target };
    });
  });
}

function layerOf(file: string): string {
  if (file.startsWith('config/')) return 'leaf';
  if (file.includes('/')) return `${file.split('/')[0]}/`;
  return LEAVES.includes(file.replace(/\.ts$/, '')) ? 'leaf' : file;
}

const imports = readImports('src');
const own = imports.filter(({ to }) => to.endsWith('.ts'));
const libraries = imports.filter(({ to }) => !to.endsWith('.ts'));

test('the reader of imports sees them', () => {
  assert.ok(own.length > 20 && libraries.length > 10);
  assert.ok(imports.some(({ from, to }) => from === 'cli/main.ts' && to === 'config.ts'));
});

test('a layer imports only the layers it may know', () => {
  const wrong = own.filter(({ from, to }) => {
    const layer = layerOf(from);
    const allowed = MAY_IMPORT[layer];
    assert.ok(allowed, `${from} belongs to no layer of this table`);
    return layer !== layerOf(to) && !allowed.includes(layerOf(to)) && !allowed.includes(to);
  });
  assert.deepEqual(wrong, []);
});

test('a library is imported only where it is confined to', () => {
  const wrong = libraries.filter(({ from, to }) => {
    if (to.startsWith('node:') && LIBRARIES[to] === undefined) return layerOf(from) === 'protocol/';
    const name = /^(?:@[^/]+\/)?[^/]+/.exec(to)?.[0] ?? to;
    const allowed = LIBRARIES[name];
    assert.ok(allowed, `${from} imports ${name}: give it its place in this table`);
    return !allowed.some((place) => from === place || (place.endsWith('/') && from.startsWith(place)));
  });
  assert.deepEqual(wrong, []);
});

test('the library of a store is imported by one file', () => {
  for (const library of ONE_FILE_ONLY) {
    const files = new Set(libraries.filter(({ to }) => to === library).map(({ from }) => from));
    assert.ok(files.size <= 1, `${library} is imported by ${[...files].join(', ')}`);
  }
});

test('the console is a client as any other: of the server it knows the public client', () => {
  const found = readImports('console/src');
  const allowed = new Set([...filesOf('console/src'), ...OF_CONSOLE]);
  assert.deepEqual(
    found.filter(({ to }) => !allowed.has(to)),
    [],
  );
  assert.deepEqual(
    OF_CONSOLE.filter((one) => !found.some(({ to }) => to === one)),
    [],
  );
});

test('no file imports itself in a circle', () => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    assert.ok(!path.includes(file), `a cycle: ${[...path, file].join(' → ')}`);
    if (done.has(file)) return;
    for (const { to } of own.filter(({ from }) => from === file)) visit(to, [...path, file]);
    done.add(file);
  };
  for (const { from } of own) visit(from, []);
});
