/** Redis behind real sentinels: found through them, followed over a failover, and only ever the master. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { StartError } from '../../src/errors.ts';
import { LIMITS, next, openLog, payloads, START, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { Sentinel, type SentinelOptions, sentinelUrl } from '../support/sentinel.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { Told } from '../support/told.ts';
import { within } from '../support/within.ts';

const CHANNEL = 'local-q';
const DEADLINES = { connectMs: 600, appendMs: 600, readMs: 600, probeMs: 400, checkMs: 300 };
/** Of the servers, and of the sentinels: they hold what has to be encoded. */
const SECRET = 'p@ss/of:redis?';
const SENTINEL_SECRET = 'p@ss/of:sentinels&';

describe('the master is found', () => {
  test('with passwords for both, a database, one sentinel that is dead and one that says nothing', async (t) => {
    const { primary, sentinels } = await scene(t, { secrets: true, sentinels: 4, replicas: 0 });
    const silent = await silentProxy(t, sentinels[1]?.port ?? 0);
    await sentinels[0]?.kill();
    const hosts = [...sentinels, silent];
    const url = sentinelUrl(hosts, {
      user: `:${encodeURIComponent(SECRET)}@`,
      after: `/3?sentinel_password=${encodeURIComponent(SENTINEL_SECRET)}`,
    });
    const startedMs = performance.now();
    const log = await openLog(t, url, { deadlines: DEADLINES });
    await log.append(CHANNEL, texts('a'));
    assert.ok(performance.now() - startedMs < DEADLINES.connectMs, 'the dead ones held it up');
    assert.deepEqual(payloads(await next(log, CHANNEL, START)), ['a']);
    assert.equal(await primary.cli('-n', '3', 'XLEN', CHANNEL), '1');
    await log.close();
  });

  test('or the start is refused in one line without any secret', async (t) => {
    const { primary, sentinels } = await scene(t, { secrets: true, sentinels: 1, replicas: 0 });
    const [sentinel] = sentinels as [Sentinel];
    const user = `:${encodeURIComponent(SECRET)}@`;
    const good = `?sentinel_password=${encodeURIComponent(SENTINEL_SECRET)}`;
    const at = (options: object): string => sentinelUrl(sentinels, options);
    const refusals: [string, RegExp][] = [
      [at({ user }), /the sentinel at 127.*NOAUTH/],
      [at({ user, after: '?sentinel_password=wrong-p@ss' }), /the sentinel at 127.*WRONGPASS/],
      [at({ after: good }), /Redis at 127.*\(main\).*NOAUTH/],
      [at({ user: ':wrong-p%40ss@', after: good }), /Redis at 127.*\(main\).*WRONGPASS/],
      [at({ user, after: good }).replace('/main', '/other'), /know no master by the name other/],
      [at({ user, after: good }).replace(`:${sentinel.port}`, `:${primary.port}`), /the sentinel at|is none/],
      [`redis://:${encodeURIComponent(SENTINEL_SECRET)}@127.0.0.1:${sentinel.port}`, /redis\+sentinel:/],
      [at({ user: ':p@ss@' }), /^REDIS_URL can not be understood/],
    ];
    for (const [url, reason] of refusals) {
      await assert.rejects(openLog(t, url), (error: unknown) => {
        assert.ok(error instanceof StartError, `${url}: ${String(error)}`);
        assert.match(error.message, reason);
        assert.doesNotMatch(`${error.message} ${error.stack} ${JSON.stringify(error)}`, /p@ss|p%40ss/);
        assert.equal(error.message.includes('\n'), false);
        return true;
      });
    }
  });

  test('also when no sentinel was there at the start, and no line holds a secret', async (t) => {
    const { sentinels } = await scene(t, { secrets: true, sentinels: 1, replicas: 0 });
    const [sentinel] = sentinels as [Sentinel];
    await sentinel.kill();
    const logger = new Told();
    const url = sentinelUrl(sentinels, {
      user: `:${encodeURIComponent(SECRET)}@`,
      after: `?sentinel_password=${encodeURIComponent(SENTINEL_SECRET)}`,
    });
    const log = await openLog(t, url, { deadlines: DEADLINES, logger });
    const appended = log.append(CHANNEL, texts('a'));
    await logger.until(/appending/);
    await sentinel.restart();
    const backMs = performance.now();
    await within('the append', appended);
    assert.ok(performance.now() - backMs < 2000);
    assert.doesNotMatch(logger.lines.join('\n'), /p@ss|p%40ss/);
    await log.close();
  });
});

describe('a failover', () => {
  test('is followed by writers and readers; the old master that comes back is not taken for it', async (t) => {
    const { primary, replica, sentinels } = await scene(t, { sentinels: 3, replicas: 1 });
    const logger = new Told();
    const log = await openLog(t, sentinelUrl(sentinels), { deadlines: DEADLINES, logger });
    await log.append(CHANNEL, texts('a', 'b'));
    const first = await next(log, CHANNEL, START);
    await primary.cli('WAIT', '1', '5000');
    const waiting = next(log, CHANNEL, first.end);
    await primary.kill();
    const appended = log.append(CHANNEL, texts('c'));
    await within('the append after the failover', appended);
    const page = await waiting;
    assert.deepEqual([payloads(page), page.gaps], [['c'], []]);
    // It takes itself for the master still: the sentinels tell it some seconds later.
    await primary.restart();
    await log.append(CHANNEL, texts('d'));
    assert.deepEqual(payloads(await next(log, CHANNEL, page.end)), ['d']);
    assert.equal(await replica.cli('XLEN', CHANNEL), '4');
    const clients = await primary.cli('CLIENT', 'LIST');
    assert.doesNotMatch(clients, /name=rivercast/);
    assert.ok(logger.lines.length <= 6, logger.lines.join('\n'));
    await log.close();
  });

  test('while the master only slept: it is left as soon as it wakes, before it is told', async (t) => {
    const { primary, replica, sentinels } = await scene(t, { sentinels: 3, replicas: 1 });
    const patient = { ...DEADLINES, appendMs: 20_000, readMs: 20_000 };
    const log = await openLog(t, sentinelUrl(sentinels), { deadlines: patient });
    await log.append(CHANNEL, texts('a'));
    await primary.cli('WAIT', '1', '5000');
    const { end } = await next(log, CHANNEL, START);
    primary.pause();
    // Both wait for the answer of the one that sleeps.
    const appended = log.append(CHANNEL, texts('b'));
    const waiting = next(log, CHANNEL, end);
    await within('both at the new master', Promise.all([appended, waiting]));
    assert.equal(await replica.cli('XLEN', CHANNEL), '2');
    primary.resume();
    assert.deepEqual(payloads(await waiting), ['b']);
    assert.deepEqual(payloads(await log.read(CHANNEL, START, LIMITS)), ['a', 'b']);
    await log.close();
  });

  test('that a sentinel alone talks of is not followed; a replica is never taken for the master', async (t) => {
    const { primary, replica, sentinels } = await scene(t, { sentinels: 1, replicas: 1 });
    // It names the replica as the master.
    const liar = await Sentinel.start(primary, { masterPort: replica.port, quorum: 2 });
    t.after(() => liar[Symbol.asyncDispose]());
    const logger = new Told();
    const alone = await openLog(t, sentinelUrl([liar]), { deadlines: DEADLINES, logger });
    assert.match(logger.lines[0] ?? '', /is no master/);
    await assert.rejects(alone.read(CHANNEL, START, LIMITS), { code: 'log_unavailable' });
    await alone.close();
    const [sentinel] = sentinels as [Sentinel];
    const other = await Sentinel.start(primary, { quorum: 2 });
    t.after(() => other[Symbol.asyncDispose]());
    const log = await openLog(t, sentinelUrl([liar, sentinel, other]), { deadlines: DEADLINES });
    await log.append(CHANNEL, texts('a'));
    await log.close();
  });
});

interface Scene {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly Sentinel[];
}

interface Wanted {
  readonly secrets?: boolean;
  readonly sentinels: number;
  readonly replicas: 0 | 1;
}

async function scene(t: TestContext, { secrets = false, sentinels, replicas }: Wanted): Promise<Scene> {
  const own = async <T extends AsyncDisposable>(owned: Promise<T>): Promise<T> => {
    const it = await owned;
    t.after(() => it[Symbol.asyncDispose]());
    return it;
  };
  const auth = secrets ? ['--requirepass', SECRET, '--masterauth', SECRET] : [];
  const primary = await own(RedisServer.start('--repl-diskless-sync-delay', '0', ...auth));
  const follow = ['--replicaof', `127.0.0.1 ${primary.port}`];
  const replica = replicas === 1 ? await own(RedisServer.start(...follow)) : primary;
  const options: SentinelOptions = {
    quorum: Math.floor(sentinels / 2) + 1,
    lines: secrets ? [`sentinel auth-pass main ${SECRET}`, `requirepass ${SENTINEL_SECRET}`] : [],
    cli: secrets ? ['--no-auth-warning', '-a', SENTINEL_SECRET] : [],
  };
  const watching: Sentinel[] = [];
  for (let i = 0; i < sentinels; i++) watching.push(await own(Sentinel.start(primary, options)));
  for (const sentinel of watching) await sentinel.untilKnows(replicas, sentinels - 1);
  return { primary, replica, sentinels: watching };
}

/** An address that takes connections and never says anything. */
async function silentProxy(t: TestContext, port: number): Promise<TcpProxy> {
  const proxy = await TcpProxy.start(port);
  t.after(() => proxy[Symbol.asyncDispose]());
  proxy.drop('down');
  return proxy;
}
