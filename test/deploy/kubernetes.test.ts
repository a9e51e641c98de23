/**
 * The manifests in deploy/kubernetes: their schema, which is that of the Kubernetes API as TypeScript has it, and that
 * they fit each other and the server.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import type { Deployment } from 'kubernetes-types/apps/v1.js';
import type { Container } from 'kubernetes-types/core/v1.js';
import { parseAllDocuments } from 'yaml';
import { loadConfig, SETTINGS } from '../../src/config.ts';

const FOLDER = 'deploy/kubernetes';
const CHECKED = 'build/kubernetes-manifests';

interface Manifest {
  readonly file: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

const manifests: Manifest[] = readdirSync(FOLDER).flatMap((file) =>
  parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => {
    assert.deepEqual(document.errors, [], file);
    return { file, ...(document.toJS() as Omit<Manifest, 'file'>) };
  }),
);

function ofKind<Kind>(kind: string): Kind[] {
  return manifests.filter((manifest) => manifest.kind === kind) as unknown as Kind[];
}

/** `apps/v1`, `core/v1`, `networking/v1`: where kubernetes-types has what is of this version. */
function moduleOf(apiVersion: string): string {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
  return `kubernetes-types/${group?.replace(/\.k8s\.io$/, '')}/${version}.js`;
}

/** The manifests as constants of the types that they claim to be; `spoil` changes the text. */
function typeCheck(name: string, spoil: (text: string) => string = (text) => text): string {
  const lines = manifests.map(({ file, ...manifest }, i) => {
    const { kind, apiVersion } = manifest;
    const text = `// ${file}\nimport type { ${kind} as Kind${i} } from '${moduleOf(apiVersion)}';\n`;
    return `${text}export const manifest${i}: Kind${i} = ${JSON.stringify(manifest, null, 2)};\n`;
  });
  mkdirSync(CHECKED, { recursive: true });
  const path = resolve(CHECKED, `${name}.ts`);
  writeFileSync(path, spoil(lines.join('\n')));
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--ignoreConfig'];
  const { stdout, stderr } = spawnSync('node_modules/.bin/tsc', [...options, path], { encoding: 'utf8' });
  return `${stdout}${stderr}`;
}

function containersOf(deployment: Deployment): Container[] {
  return deployment.spec?.template.spec?.containers ?? [];
}

function envOf(deployment: Deployment): Record<string, string | undefined> {
  const env = containersOf(deployment).flatMap((container) => container.env ?? []);
  return Object.fromEntries(env.map(({ name, value }) => [name, value]));
}

describe('the manifests', () => {
  test('are what the API of Kubernetes takes', () => {
    assert.ok(manifests.length >= 9);
    assert.equal(typeCheck('manifests'), '');
  });

  test('would not pass with a misspelt field, nor with a value of another type', () => {
    const misspelt = typeCheck('misspelt', (text) => text.replace('"readinessProbe"', '"readynessProbe"'));
    assert.match(misspelt, /readynessProbe/);
    assert.match(
      typeCheck('text', (text) => text.replace('"replicas": 2', '"replicas": "2"')),
      /TS2322/,
    );
  });

  test('give a stop the time that it may take', () => {
    for (const deployment of ofKind<Deployment>('Deployment')) {
      const { DRAIN_SECONDS } = envOf(deployment);
      const { delayMs, spreadMs, timeoutMs } = loadConfig({ env: { DRAIN_SECONDS } }).drain;
      const sleeps = containersOf(deployment).map(({ lifecycle }) => lifecycle?.preStop?.exec?.command ?? []);
      const sleepMs = Number(sleeps[0]?.[1]) * 1000;
      const graceMs = (deployment.spec?.template.spec?.terminationGracePeriodSeconds ?? 0) * 1000;
      assert.ok(graceMs >= sleepMs + delayMs + spreadMs + timeoutMs + 5000, `${graceMs} ms`);
    }
  });

  test('set settings that there are, and ask for health where it is told', () => {
    const names = new Set(SETTINGS.map(({ name }) => name));
    const config = ofKind<{ readonly data: Record<string, string> }>('ConfigMap').flatMap(({ data }) =>
      Object.keys(data),
    );
    const deployments = ofKind<Deployment>('Deployment');
    for (const name of [...config, ...deployments.flatMap((one) => Object.keys(envOf(one)))]) {
      assert.ok(names.has(name), name);
    }
    for (const { readinessProbe, livenessProbe } of deployments.flatMap(containersOf)) {
      assert.equal(readinessProbe?.httpGet?.path, '/readyz');
      assert.equal(livenessProbe?.httpGet?.path, '/healthz');
    }
  });

  test('scale by metrics that there are', () => {
    const text = readFileSync(join(FOLDER, 'broadcaster.yaml'), 'utf8');
    const names = [...text.matchAll(/^ +name: (rivercast_\w+)$/gm)].map(([, name]) => name as string);
    const known = readFileSync('src/metrics.ts', 'utf8');
    assert.equal(names.length, 2);
    for (const name of names) assert.ok(known.includes(`  ${name}: `), name);
  });

  test('find each other by their names and labels', () => {
    const deployments = ofKind<Deployment>('Deployment');
    const services = ofKind<{ readonly metadata: { name: string }; readonly spec: { selector: object } }>(
      'Service',
    );
    for (const { metadata, spec } of services) {
      const deployment = deployments.find((one) => one.metadata?.name === metadata.name);
      assert.deepEqual(deployment?.spec?.template.metadata?.labels, spec.selector);
      assert.deepEqual(deployment?.spec?.selector.matchLabels, spec.selector);
    }
    const text = readFileSync(join(FOLDER, 'ingress.yaml'), 'utf8');
    for (const { metadata } of services) assert.ok(text.includes(`name: ${metadata.name}\n`), metadata.name);
  });
});
