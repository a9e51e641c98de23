/**
 * docker-compose.yml and the Dockerfile, as far as they can be checked without an engine: what they say is known, fits
 * together and fits the server. These are rules of ours, not those of a linter, and they build nothing: no engine has built the image
 * here. `npm run topology` builds what it copies in an empty folder, and runs the same services as plain processes.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { loadConfig, SETTINGS } from '../../src/config.ts';

interface Service {
  readonly image: string;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly stop_grace_period?: string;
}

/** Of the compose specification, as far as it is used here. */
const KEYS = new Set([
  'build',
  'command',
  'depends_on',
  'environment',
  'healthcheck',
  'image',
  'ports',
  'profiles',
  'restart',
  'stop_grace_period',
  'volumes',
]);
const HEALTH_KEYS = new Set(['test', 'interval', 'timeout', 'retries', 'start_period']);

const compose = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const services = Object.entries(compose.services);
const ours = services.filter(([, { image }]) => image === 'rivercast');
const hasCompose = spawnSync('docker', ['compose', 'version']).status === 0;

describe('docker-compose.yml', () => {
  test('is taken by docker compose', { skip: hasCompose ? false : 'there is no docker compose here' }, () => {
    const { status, stderr } = spawnSync('docker', ['compose', '--profile', 'full', 'config', '--quiet'], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });

  test('is the whole, with keys that there are', () => {
    assert.deepEqual(
      services.map(([name]) => name),
      ['redis', 'manager', 'broadcaster-1', 'broadcaster-2', 'nginx'],
    );
    for (const [name, service] of services) {
      for (const key of Object.keys(service)) assert.ok(KEYS.has(key), `${name}: ${key}`);
      for (const key of Object.keys(service.healthcheck)) assert.ok(HEALTH_KEYS.has(key), `${name}: ${key}`);
    }
  });

  test('each is checked, and waits for those it needs', () => {
    for (const [name, { healthcheck, depends_on = {} }] of services) {
      assert.equal(healthcheck.test[0], 'CMD', name);
      for (const [other, { condition }] of Object.entries(depends_on)) {
        assert.ok(compose.services[other], `${name} depends on ${other}`);
        assert.equal(condition, 'service_healthy');
      }
    }
    assert.deepEqual(
      Object.keys(compose.services['nginx']?.depends_on ?? {}),
      ours.map(([name]) => name),
    );
  });

  test('is reached from this machine only, and by nginx', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? []);
    assert.deepEqual(ports, ['127.0.0.1:6379:6379', '127.0.0.1:3000:80']);
  });

  test('images of others have a version, and files and volumes are there', () => {
    for (const [name, { image, volumes = [] }] of services) {
      if (image !== 'rivercast') assert.match(image, /^[a-z]+:\d+\.\d+-\w+$/);
      for (const volume of volumes) {
        const [source = ''] = volume.split(':');
        const isThere = source.startsWith('.') ? existsSync(source) : source in compose.volumes;
        assert.ok(isThere, `${name}: ${volume}`);
      }
    }
  });

  test('settings are such that the server takes them, and a stop is given its time', () => {
    const names = new Set(SETTINGS.map(({ name }) => name));
    for (const [name, { environment = {}, stop_grace_period = '' }] of ours) {
      for (const setting of Object.keys(environment)) assert.ok(names.has(setting), `${name}: ${setting}`);
      const { drain } = loadConfig({ env: environment });
      const graceMs = Number(/^(\d+)s$/.exec(stop_grace_period)?.[1]) * 1000;
      assert.ok(graceMs >= drain.delayMs + drain.spreadMs + drain.timeoutMs + 5000, `${graceMs} ms`);
    }
    assert.deepEqual(
      ours.map(([, { environment }]) => environment?.['ROLE']),
      ['manager', 'broadcaster', 'broadcaster'],
    );
  });

  test('its nginx passes on as the recommended one does', () => {
    const [own, recommended] = ['deploy/compose/nginx.conf', 'deploy/nginx/rivercast.conf'].map((file) => {
      const text = readFileSync(file, 'utf8');
      const maps = text.match(/^map [\s\S]*?^}/gm) ?? [];
      const [location = ''] = /^ {4}location \/ \{[\s\S]*?^ {4}\}/m.exec(text) ?? [];
      return [...maps, location];
    });
    assert.equal(own?.length, 3);
    assert.deepEqual(own, recommended);
    const conf = readFileSync('deploy/compose/nginx.conf', 'utf8');
    for (const [name] of ours) assert.ok(conf.includes(`server ${name}:3000`), name);
  });
});

describe('the Dockerfile', () => {
  const lines = readFileSync('Dockerfile', 'utf8')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => /^[A-Z]+ /.test(line));
  const of = (name: string): string[] =>
    lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));

  test('has two stages of a version each, and ends as a user without rights', () => {
    for (const from of of('FROM')) assert.match(from, /^[a-z]+:\d+(\.\d+)*-slim( AS \w+)?$/);
    assert.equal(of('FROM').length, 2);
    assert.deepEqual(of('USER'), ['node']);
    assert.deepEqual(of('ADD'), []);
    const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));
    const user = last.findIndex((line) => line.startsWith('USER '));
    assert.ok(
      last.slice(user).every((line) => !/^(RUN|COPY) /.test(line)),
      'nothing is written after USER',
    );
  });

  test('is checked, started without a shell, and stopped by the signal that drains', () => {
    assert.match(
      of('HEALTHCHECK')[0] ?? '',
      /--interval=.*--timeout=.*--start-period=.*--retries=.*CMD \["node"/,
    );
    assert.deepEqual(JSON.parse(of('ENTRYPOINT')[0] ?? ''), ['node', '--v8-pool-size=1', 'dist/cli/main.js']);
    assert.deepEqual(of('STOPSIGNAL'), ['SIGTERM']);
  });

  test('copies what is there and not ignored, and the lock before the sources', () => {
    const kept = readFileSync('.dockerignore', 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = of('COPY')
      .filter((line) => !line.startsWith('--from'))
      .flatMap((line) => line.split(' ').slice(0, -1));
    assert.deepEqual(copied.toSorted(), kept.toSorted());
    for (const file of copied) assert.ok(existsSync(file), file);
    const install = lines.findIndex((line) => line.includes('npm ci'));
    assert.ok(lines.slice(0, install).some((line) => line.includes('package-lock.json')));
    assert.ok(lines.slice(0, install).every((line) => !line.startsWith('COPY src')));
  });

  test('leaves settings that there are', () => {
    const names = new Set(SETTINGS.map(({ name }) => name));
    for (const pair of (of('ENV')[0] ?? '').split(' ')) {
      const [name = ''] = pair.split('=');
      assert.ok(name === 'NODE_ENV' || names.has(name), name);
    }
  });
});
