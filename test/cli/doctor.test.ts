import assert from 'node:assert/strict';
import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  checkBacklog,
  checkClock,
  checkDisk,
  checkFiles,
  checkLog,
  checkNode,
  checkPorts,
  checkRedis,
  type Finding,
  judgeRedis,
} from '../../src/cli/checks.ts';
import { checkApiKeys, checkCertificate } from '../../src/cli/credential-checks.ts';
import { loadConfig } from '../../src/config.ts';
import { makeCertificates, signed } from '../support/certificates.ts';
import { runCli } from '../support/cli.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';

const NOW = Date.UTC(2026, 10, 26);

const verdicts = (findings: readonly Finding[]): string[] =>
  findings.map(({ name, verdict }) => `${name}: ${verdict}`);

test('what a machine is judged by', async (t) => {
  const config = loadConfig({ env: { MAX_CONNECTIONS: '1000' } });
  const files = (count: string): string =>
    `Limit  Soft  Hard  Units\nMax open files            ${count}   4096   files\n`;
  assert.deepEqual(
    ['v18.1.0', 'v20.18.9', 'v20.19.0', 'v22.0.0'].map((version) => checkNode(version).verdict),
    ['fail', 'fail', 'ok', 'ok'],
  );
  assert.deepEqual(
    [files('1024'), files('200000'), files('unlimited'), null].map(
      (text) => checkFiles(text, config).verdict,
    ),
    ['warn', 'ok', 'ok', 'ok'],
  );
  assert.match(checkFiles(files('1024'), config).advice ?? '', /LimitNOFILE=\d+/);
  assert.deepEqual(
    ['128', '4096', null].map((text) => checkBacklog(text).verdict),
    ['warn', 'ok', 'ok'],
  );
  assert.deepEqual([checkClock(0).verdict, checkClock(NOW).verdict], ['fail', 'ok']);

  const dir = await tempDir(t);
  const disk = (env: Record<string, string>): string[] =>
    verdicts(checkDisk(loadConfig({ env: { DATA_DIR: dir, ...env } }), NOW));
  assert.deepEqual(disk({ DATA_DIR: join(dir, 'not', 'there'), RETENTION_MAX_BYTES: '1mib' }), ['disk: ok']);
  assert.deepEqual(disk({ RETENTION_MAX_BYTES: '1024tib' }), ['disk: warn']);
  assert.deepEqual(disk({ STORE: 'memory' }), []);
  await writeFile(join(dir, 'late'), '');
  await utimes(join(dir, 'late'), NOW / 1000, NOW / 1000 + 60);
  assert.deepEqual(disk({ RETENTION_MAX_BYTES: '1mib' }), ['disk: ok', 'clock: warn']);
});

test('ports: free, taken by a Rivercast, taken by somebody else', async () => {
  await using ours = await TestServer.start();
  await using redis = await RedisServer.start();
  const { port } = new URL(ours.address);
  const findings = await checkPorts(loadConfig({ env: { PORT: `${redis.port},${port}` } }));
  assert.deepEqual(verdicts(findings), [`port ${redis.port}: fail`, `port ${port}: ok`]);
  assert.match(findings[1]?.found ?? '', /a Rivercast/);
});

test('Redis: what it is, and what it may do to what it holds', async (t) => {
  await using redis = await RedisServer.start(
    '--requirepass',
    's3cret',
    '--maxmemory',
    '100mb',
    '--maxmemory-policy',
    'allkeys-lru',
    '--appendonly',
    'no',
  );
  const url = redis.url.replace('//', '//:s3cret@');
  const findings = await checkRedis(loadConfig({ env: { REDIS_URL: url } }));
  assert.deepEqual(verdicts(findings).slice(0, 4), [
    'redis: ok',
    'redis stream: ok',
    'redis persistence: warn',
    'redis eviction: fail',
  ]);
  const args = ['doctor', '--json', '--port', '0'];
  const [wrong, right, setting] = await Promise.all([
    runCli(t, { args, env: { REDIS_URL: redis.url.replace('//', '//:wr0ng@') } }),
    runCli(t, { args: args.toSpliced(1, 1), env: { REDIS_URL: url } }),
    runCli(t, { args, env: { PORT: 'x', ROLE: 'boss' } }),
  ]);
  const last = JSON.parse(wrong.stdout.trimEnd().split('\n').at(-1) ?? '') as Finding;
  assert.deepEqual([wrong.code, last.name, last.verdict], [1, 'redis', 'fail']);
  assert.match(last.found, /WRONGPASS/);
  assert.doesNotMatch(wrong.stdout + right.stdout, /wr0ng|s3cret/);
  assert.equal(right.code, 1);
  assert.match(right.stdout, /^FAIL {2}redis eviction {4}allkeys-lru\n {24}→ .*noeviction/m);
  assert.equal(setting.code, 1);
  assert.match(setting.stdout, /ROLE=/);
  const nobody = await checkRedis(loadConfig({ env: { REDIS_URL: 'redis://localhost:9' } }));
  assert.deepEqual(verdicts(nobody), ['redis: fail']);
  assert.match(nobody[0]?.found ?? '', /ECONNREFUSED/);
  const nowhere = await checkRedis(loadConfig({ env: { REDIS_URL: `${url}/99` } }));
  assert.match(nowhere[0]?.found ?? '', /DB index is out of range/);
});

test('the files that let somebody in, and where messages go', async (t) => {
  const dir = await tempDir(t);
  const { cert, key } = await makeCertificates(dir);
  const otherKey = join(dir, 'other-key.pem');
  await signed(dir, { cert: join(dir, 'other.pem'), key: otherKey, days: 30 });
  const certificate = (env: Record<string, string>, nowMs = Date.now()): string[] =>
    verdicts(checkCertificate(loadConfig({ env }), nowMs));
  const pair = { TLS_CERT: cert, TLS_KEY: key };
  assert.deepEqual(certificate({}), []);
  assert.deepEqual(certificate(pair), ['certificate: warn']);
  const long = { TLS_CERT: join(dir, 'other.pem'), TLS_KEY: otherKey };
  assert.deepEqual(certificate(long), ['certificate: ok']);
  assert.deepEqual(certificate(pair, Date.now() + 100 * 365 * 86_400_000), ['certificate: fail']);
  assert.deepEqual(certificate({ ...pair, TLS_KEY: otherKey }), ['certificate: fail']);
  assert.deepEqual(certificate({ ...pair, TLS_CERT: '/none' }), ['certificate: fail']);

  const keys = join(dir, 'keys.json');
  const apiKeys = (): string[] => verdicts(checkApiKeys(loadConfig({ env: { API_KEYS_FILE: keys } })));
  assert.deepEqual(apiKeys(), ['api keys: fail']);
  await runCli(t, { args: ['api-key', 'one', '--publish', '*', '--file', keys] });
  assert.deepEqual(apiKeys(), ['api keys: ok']);

  const log = (env: Record<string, string>): Finding => checkLog(loadConfig({ env }));
  assert.match(log({ DATA_DIR: '/some/where' }).found, /^embedded, in \/some\/where \(REDIS_URL/);
  assert.match(log({ REDIS_URL: 'redis://:s3cret@host:1' }).found, /^in Redis at .*host:1, stream local-q$/);
  assert.doesNotMatch(log({ REDIS_URL: 'redis://:s3cret@host:1' }).found, /s3cret/);
  assert.equal(log({ STORE: 'memory' }).verdict, 'warn');
});

test('an old Redis, a cluster, a clock that is off, a long way', () => {
  const facts = {
    version: '6.2.1',
    isCluster: true,
    hasFile: true,
    maxMemory: 0,
    policy: 'allkeys-lru',
    aheadMs: -5000,
    roundTripMs: 80,
    streamType: 'hash',
  };
  assert.deepEqual(verdicts(judgeRedis(facts)), [
    'redis: fail',
    'redis: fail',
    'redis stream: fail',
    'redis persistence: ok',
    'redis eviction: ok',
    'redis clock: warn',
    'redis distance: warn',
  ]);
});
