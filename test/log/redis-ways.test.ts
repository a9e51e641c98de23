/** Every way to a Redis: TLS with a private authority, users of an ACL, databases, sockets. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { StartError } from '../../src/errors.ts';
import type { NewEntry } from '../../src/log/log.ts';
import type { RedisLog } from '../../src/log/redis.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { LIMITS, next, openLog, payloads, START, texts } from '../support/redis-log.ts';
import { blockedClients, freePort, RedisServer } from '../support/redis-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { Told } from '../support/told.ts';
import { until, within } from '../support/within.ts';

const CHANNEL = 'local-q';
const BRIEF = { windowMs: 300, maxKeys: 1000 };
/** Each of these ends a URL, or means something in one. */
const PASSWORD = 'p@ss:w/o?r#d%[]{}<>+&=;\'"\\ ü€😀';
const USER = 'ri@ver:ca/st';

describe('TLS', () => {
  test('with a private authority is trusted by its file alone', async (t) => {
    const { server, url, certificates } = await tlsServer(t);
    const log = await openLog(t, url, { caFile: certificates.ca });
    await log.append(CHANNEL, texts('a'));
    assert.deepEqual(payloads(await next(log, CHANNEL, START)), ['a']);
    assert.equal(await server.cli('XLEN', CHANNEL), '1');
    await log.close();
  });

  test('with a certificate that is not trusted stops the start, in one line', async (t) => {
    const { url, certificates } = await tlsServer(t);
    const elsewhere = url.replace('127.0.0.1', 'localhost');
    await refused(openLog(t, url), /self-signed certificate|unable to verify/);
    await refused(openLog(t, url, { caFile: certificates.otherCa }), /certificate/);
    await refused(
      openLog(t, elsewhere, { caFile: certificates.ca }),
      /localhost.* does not match certificate/,
    );
  });

  test('that Redis speaks otherwise is waited for, with a line that says what to look at', async (t) => {
    const { server, url, certificates } = await tlsServer(t, 'yes');
    const logger = new Told();
    const deadlines = { connectMs: 300 };
    const plain = `rediss://127.0.0.1:${server.port}`;
    const log = await openLog(t, plain, { caFile: certificates.ca, logger, deadlines });
    assert.match(logger.lines[0] ?? '', /speak TLS at this port/);
    await log.close();
    // What Redis answers is lost when the connection is reset before it was read.
    const opening = openLog(t, url, { caFile: certificates.ca, logger, deadlines });
    const failure = await opening.then(
      () => logger.lines[1],
      (error: Error) => error.message,
    );
    assert.match(failure ?? '', /certificate/);
  });

  test('needs a file of certificates that is one', async (t) => {
    const dir = await tempDir(t);
    const url = 'rediss://127.0.0.1:1';
    await refused(openLog(t, url, { caFile: join(dir, 'none') }), /^REDIS_CA_FILE=.*none.*ENOENT/);
    await writeFile(join(dir, 'text'), 'no certificate');
    await refused(openLog(t, url, { caFile: join(dir, 'text') }), /^REDIS_CA_FILE=.*holds no certificate/);
  });
});

describe('a user of the ACL', () => {
  test('may have any characters in name and password, at a port and at a socket', async (t) => {
    await using server = await RedisServer.start('--unixsocket', 'redis.sock');
    await server.cli('ACL', 'SETUSER', USER, 'on', `>${PASSWORD}`, '+@all', '~*');
    await server.cli('CONFIG', 'SET', 'requirepass', 'nobody comes in without');
    const user = `${encodeURIComponent(USER)}:${encodeURIComponent(PASSWORD)}`;
    for (const url of [
      `redis://${user}@127.0.0.1:${server.port}/5`,
      `unix://${user}@${server.dir}/redis.sock?db=5`,
    ]) {
      const log = await openLog(t, url);
      await log.append(CHANNEL, texts('a'));
      await log.close();
    }
    const counted = await server.cli('-a', 'nobody comes in without', '-n', '5', 'XLEN', CHANNEL);
    assert.match(counted, /2$/);
  });

  test('needs no more than what the documentation says', async (t) => {
    await using server = await RedisServer.start();
    const { url, logger } = await userWith(server, '');
    const log = await openLog(t, url, { logger, idempotency: BRIEF });
    await useAll(log, server, logger);
    assert.deepEqual(logger.lines, []);
    await log.close();
  });

  for (const command of rules().filter((rule) => rule.startsWith('+'))) {
    test(`is told by a line that it lacks ${command.slice(1)}`, async (t) => {
      await using server = await RedisServer.start();
      const { url, logger } = await userWith(server, command.replace('+', '-'));
      const log = await openLog(t, url, { logger, idempotency: BRIEF });
      const name = command.slice(1).replace('|', '[ |]');
      const line = new RegExp(`NOPERM.*\\b${name}\\b|\\b${name}: ERR .*can't run this`, 'i');
      const using = useAll(log, server, logger).catch((error: Error) => logger.error({}, error.message));
      await within(`a line like ${line}`, logger.until(line));
      await log.close();
      await using;
    });
  }

  test('is told by a line that a key is not its own', async (t) => {
    await using server = await RedisServer.start();
    const { url, logger } = await userWith(server, 'resetkeys', `~${CHANNEL}`);
    const log = await openLog(t, url, { logger });
    const using = log.append(CHANNEL, texts('a')).catch(() => undefined);
    await within('a line', logger.until(/keys/));
    await assert.rejects(log.probe(), /NOPERM.*keys/);
    await log.close();
    await using;
  });
});

test('without a permission that only what goes with entries needs, they are stored, once, and it is said once', async (t) => {
  await using server = await RedisServer.start();
  const { url, logger } = await userWith(server, '-pexpiretime');
  const log = await openLog(t, url, { logger });
  for (let n = 0; n < 5; n++) await log.append(CHANNEL, texts(`${n}`));
  assert.equal(await server.cli('XLEN', CHANNEL), '5');
  const told = logger.lines.filter((line) => /pexpiretime/i.test(line));
  assert.equal(told.length, 1, logger.lines.join('\n'));
  assert.match(told[0] ?? '', /what goes with entries/);
  await server.cli('ACL', 'SETUSER', 'rivercast', '+pexpiretime');
  await log.append(CHANNEL, texts('more'));
  assert.match(logger.lines.at(-1) ?? '', /works again/);
  await log.close();
});

/** The rules of docs/operations.md. */
function rules(): string[] {
  const page = readFileSync('docs/operations.md', 'utf8');
  const [, text = ''] = /^ACL SETUSER rivercast on >password (.*)$/m.exec(page) ?? [];
  assert.notEqual(text, '');
  return text.split(' ');
}

async function userWith(server: RedisServer, ...less: string[]): Promise<{ url: string; logger: Told }> {
  const changes = less.filter((rule) => rule !== '');
  await server.cli('ACL', 'SETUSER', 'rivercast', 'on', '>password', ...rules(), ...changes);
  return { url: `redis://rivercast:password@127.0.0.1:${server.port}`, logger: new Told() };
}

/** Everything that a server asks of its log. */
async function useAll(log: RedisLog, server: RedisServer, logger: Told): Promise<void> {
  await log.probe();
  await log.append(CHANNEL, texts('a', 'b'));
  const keysKept = (): Promise<string> => server.cli('HGET', '{local-q:another}:meta', 'keys');
  for (const key of ['1', '2']) {
    await log.append('another', [{ ...(texts('a')[0] as NewEntry), key }]);
    // A round trip, so that the second does not come within the same millisecond.
    await keysKept();
  }
  await until('keys are forgotten', async () => logger.lines.length > 0 || (await keysKept()) === '');
  await server.cli('SCRIPT', 'FLUSH');
  const { end } = await next(log, CHANNEL, START);
  await server.cli('SCRIPT', 'FLUSH');
  await log.read(CHANNEL, START, LIMITS);
  const abort = new AbortController();
  const waiting = log.wait(new Map([[CHANNEL, end]]), LIMITS, abort.signal);
  // It fails when the log is closed first.
  waiting.catch(() => undefined);
  const isBlocked = async (): Promise<boolean> => (await blockedClients(server)) > 0;
  await until('it blocks, or fails', async () => logger.lines.length > 0 || isBlocked());
  abort.abort();
  await waiting;
  await log.locate(CHANNEL, { at: 'last', count: 1 });
  await log.locate(CHANNEL, { at: 'earliest' });
  // The history is lost: a new epoch begins.
  await server.cli('DEL', CHANNEL);
  await log.read(CHANNEL, end, LIMITS);
  await log.append(CHANNEL, texts('c', 'd'));
  await log.trim(CHANNEL, { maxEntries: 1, maxBytes: 100, maxAgeMs: 1000 });
  await log.bounds(CHANNEL);
  assert.equal((await log.channels({ after: null, limit: 10 })).channels.length, 2);
  const swept = new AbortController();
  await log.sweep(swept.signal);
  await server.cli('DEL', 'local-q:another');
  await log.sweep(swept.signal);
  await log.probe();
}

async function tlsServer(
  t: TestContext,
  clients: 'yes' | 'no' = 'no',
): Promise<{ server: RedisServer; url: string; certificates: Certificates }> {
  const certificates = await makeCertificates(await tempDir(t));
  const { ca, cert, key } = certificates;
  const port = String(await freePort());
  const files = ['--tls-ca-cert-file', ca, '--tls-cert-file', cert, '--tls-key-file', key];
  const server = await RedisServer.start('--tls-port', port, '--tls-auth-clients', clients, ...files);
  t.after(() => server[Symbol.asyncDispose]());
  return { server, url: `rediss://127.0.0.1:${port}`, certificates };
}

async function refused(opening: Promise<unknown>, reason: RegExp): Promise<void> {
  await assert.rejects(opening, (error: unknown) => {
    assert.ok(error instanceof StartError, String(error));
    assert.match(error.message, reason);
    assert.equal(error.message.includes('\n'), false);
    return true;
  });
}
