/** What an operator and a load balancer ask: alive, ready, and what this is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GatedLog } from '../support/gated-log.ts';
import { TestServer } from '../support/running-server.ts';

interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: {
    readonly status: string;
    readonly reason?: string;
    readonly checks?: Readonly<Record<string, string | boolean>>;
  };
}

async function ask(server: TestServer, path: string): Promise<Answer> {
  const response = await fetch(`${server.address}${path}`, { signal: AbortSignal.timeout(5000) });
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    body: (await response.json()) as Answer['body'],
  };
}

test('/healthz and /readyz say that all is well', async () => {
  await using server = await TestServer.start();
  assert.deepEqual(await ask(server, '/healthz'), { status: 200, retryAfter: null, body: { status: 'ok' } });
  assert.deepEqual(await ask(server, '/readyz'), {
    status: 200,
    retryAfter: null,
    body: { status: 'ready', checks: { append: 'ok', delivery: 'ok', draining: false } },
  });
});

test('/ says what this is and where the doors are', async () => {
  await using server = await TestServer.start({ STREAM: 'scores' });
  const response = await fetch(`${server.address}/`);
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain/);
  const text = await response.text();
  for (const word of ['/ws/manager', '/ws/broadcast', '/healthz', 'scores'])
    assert.ok(text.includes(word), word);
});

describe('/readyz', () => {
  test('fails with the reason when the log does, while /healthz does not', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.failNext('probe', new Error('Redis is loading its data'));
    const answer = await ask(server, '/readyz');
    assert.deepEqual([answer.status, answer.retryAfter], [503, '1']);
    const reason = 'Redis is loading its data';
    assert.deepEqual(answer.body, {
      status: 'unavailable',
      reason: `append: ${reason}`,
      checks: { append: reason, delivery: 'ok', draining: false },
    });
    assert.equal((await ask(server, '/healthz')).status, 200);
    assert.equal((await ask(server, '/readyz')).status, 200);
  });

  test('fails within two seconds when the log does not answer at all, and asks it once for many', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    log.hold('probe');
    const start = performance.now();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(server, '/readyz')));
    assert.ok(performance.now() - start < 2000);
    for (const { status, body } of answers) {
      assert.equal(status, 503);
      assert.match(body.reason ?? '', /did not answer/);
    }
    assert.equal(log.count('probe'), 1);
    assert.equal((await ask(server, '/healthz')).status, 200);
    log.release('probe');
    assert.equal((await ask(server, '/readyz')).status, 200);
  });
});
