/** What /metrics says: all that is documented, no more, and the truth. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { EventStream } from '../support/event-stream.ts';
import { GatedLog } from '../support/gated-log.ts';
import { Metrics, scrape, scrapeUntil } from '../support/metrics.ts';
import { post } from '../support/posts.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { V1Client } from '../support/v1-client.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { until } from '../support/within.ts';

interface Documented {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

function documented(): Documented[] {
  const rows = readFileSync('docs/metrics.md', 'utf8').matchAll(/^\| `([a-z_]+)` \| (\w+) \|([^|]*)\|/gm);
  return [...rows].map(([, name = '', type = '', labels = '']) => ({
    name,
    type,
    labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label),
  }));
}

const NOTHING_OF_DELIVERY =
  /^rivercast_(delivered|writes|gaps|subscri|channels$|resumes|ring|stalled|trim_edge)/;
const NOTHING_OF_INTAKE = /^rivercast_(received|stored|duplicate|failed|unstored|paused|posts|trimmed|swe)/;

test('every metric is in docs/metrics.md with its type and its labels, and nothing else is', async () => {
  await using server = await TestServer.start();
  await using publisher = await server.publisher();
  await post(server, 'x', { path: '/api/channels/no%20name/messages' });
  await using refused = await server.subscriber('?after=nonsense', { origin: 'http://127.0.0.1' });
  await refused.closed;
  await using asking = await V1PublisherClient.open(server);
  asking.publish('a', { channel: 'no name' });
  await asking.expect('error');
  publisher.send('x');
  const metrics = await scrapeUntil(
    server,
    'a message is stored',
    (now) => now.value('rivercast_stored_entries_total') === 1,
  );
  const rows = documented();
  assert.deepEqual([...metrics.types.keys()].toSorted(), rows.map(({ name }) => name).toSorted());
  for (const { name, type, labels } of rows) {
    assert.equal(metrics.types.get(name), type, name);
    const said = metrics.labelsOf(name);
    // A counter by code has no sample before the first one of the code.
    if (name === 'rivercast_failed_entries_total' && said.length === 0) continue;
    assert.deepEqual(said.toSorted(), labels.toSorted(), name);
  }
});

test('the text is what Prometheus itself finds in order', async () => {
  await using server = await TestServer.start();
  await using subscriber = await server.subscriber();
  await using publisher = await server.publisher();
  publisher.send('x');
  await subscriber.take(1);
  const { text } = await scrape(server);
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  });
  assert.equal(status, 0, `${stdout}${stderr}`);
});

test('METRICS=off: there is no /metrics, and the numbers for people stay', async () => {
  await using server = await TestServer.start({ METRICS: 'off' });
  assert.equal((await fetch(`${server.address}/metrics`)).status, 404);
  assert.equal((await fetch(`${server.address}/api/stats`)).status, 200);
});

test('a page of somebody else may not read it', async () => {
  await using server = await TestServer.start();
  for (const path of ['/metrics', '/api/stats', '/api/subscribers']) {
    const answer = await fetch(`${server.address}${path}`, { headers: { Origin: 'https://evil.example' } });
    assert.equal(answer.status, 403, path);
  }
});

describe('by role', () => {
  const settings = { REDIS_URL: 'redis://127.0.0.1:1', STORE: '' };

  test('a manager says nothing of delivery', async () => {
    await using server = await TestServer.start({ ...settings, ROLE: 'manager' }, new GatedLog());
    const names = new Set((await scrape(server)).samples.map(({ name }) => name));
    assert.deepEqual(
      [...names].filter((name) => NOTHING_OF_DELIVERY.test(name)),
      [],
    );
    assert.ok(names.has('rivercast_received_entries_total'));
    assert.equal((await fetch(`${server.address}/api/subscribers`)).status, 404);
  });

  test('a broadcaster says nothing of taking in', async () => {
    await using server = await TestServer.start({ ...settings, ROLE: 'broadcaster' }, new GatedLog());
    const names = new Set((await scrape(server)).samples.map(({ name }) => name));
    assert.deepEqual(
      [...names].filter((name) => NOTHING_OF_INTAKE.test(name)),
      [],
    );
    assert.ok(names.has('rivercast_delivered_entries_total'));
  });
});

describe('what goes through', () => {
  test('is counted once where it comes in, and once for each subscriber where it goes out', async () => {
    await using server = await TestServer.start();
    await using first = await server.subscriber();
    await using second = await server.subscriber();
    await using v1 = await V1Client.open(server, '?channel=local-q');
    await v1.expect('subscribed');
    await using events = await EventStream.open(`${server.address}/sse`);
    await using raw = await server.publisher();
    for (const text of ['one', 'two', 'three']) raw.send(text);
    await first.take(3);
    await using asking = await V1PublisherClient.open(server);
    asking.publish('four', { key: 'k' });
    asking.publish('four', { key: 'k' });
    await asking.take(2);
    await post(server, '12345', {
      path: '/api/channels/local-q/messages',
      headers: { 'Content-Type': 'text/plain' },
    });
    await Promise.all([first.take(2), second.take(5), events.take(5)]);
    const metrics = await scrapeUntil(
      server,
      'all is counted',
      (now) =>
        now.value('rivercast_delivered_entries_total', { format: 'raw' }) === 10 &&
        now.value('rivercast_delivered_entries_total', { format: 'v1' }) === 5,
    );
    const received = (format: string): number[] => [
      metrics.value('rivercast_received_entries_total', { format }),
      metrics.value('rivercast_received_bytes_total', { format }),
    ];
    assert.deepEqual(
      [received('raw'), received('v1'), received('http')],
      [
        [3, 11],
        [2, 8],
        [1, 5],
      ],
    );
    assert.equal(metrics.value('rivercast_stored_entries_total'), 5);
    assert.equal(metrics.value('rivercast_duplicate_entries_total'), 1);
    assert.equal(metrics.value('rivercast_delivered_entries_total', { format: 'sse' }), 5);
    // Two bytes of header each, once for each of the two.
    assert.equal(
      metrics.value('rivercast_delivered_bytes_total', { format: 'raw' }),
      2 * (11 + 4 + 5 + 5 * 2),
    );
    assert.equal(metrics.value('rivercast_block_entries_sum'), 5);
    assert.equal(metrics.value('rivercast_batch_entries_sum'), 6);
    assert.equal(metrics.value('rivercast_unstored_bytes'), 0);
    assert.ok(metrics.value('rivercast_append_seconds_count') >= 3);
    const passes = metrics.value('rivercast_delivery_seconds_count');
    assert.ok(passes >= 3 && passes <= 5);
    assert.ok(metrics.value('rivercast_delivery_seconds_sum') < 2 * passes);
    assert.equal(metrics.value('rivercast_pass_seconds_count'), passes);
    await v1.messages('local-q', 5);
  });

  test('connections are told apart by role, format and the class of their channel, never by its name', async () => {
    await using server = await TestServer.start({ CHANNEL_CLASSES: 'scores:*=scores; chat=chat' });
    await using raw = await server.subscriber('?channel=scores:1');
    await using other = await server.subscriber('?channel=secret-name');
    await using plain = await server.subscriber();
    await using v1 = await V1Client.open(server);
    await v1.subscribe('scores:1');
    await using several = await V1Client.open(server, '?channel=chat');
    await several.expect('subscribed');
    await several.subscribe('scores:2');
    await using events = await EventStream.open(`${server.address}/sse?channel=chat`);
    await using publisher = await server.publisher('?channel=scores:9');
    await using asking = await V1PublisherClient.open(server, '?channel=chat');
    await using silent = await RawSocket.connect(server.address);
    silent.write('GET /ws/bro');
    const metrics = await scrapeUntil(
      server,
      'the silent one is seen',
      // And the scrape itself.
      (now) => now.value('rivercast_connections', { role: 'other' }) >= 2,
    );
    const counts = metrics.samples
      .filter(({ name, labels }) => name === 'rivercast_connections' && labels['role'] !== 'other')
      .map(
        ({ labels, value }) => `${labels['role']} ${labels['format']} ${labels['channel_class']} ${value}`,
      );
    assert.deepEqual(counts.toSorted(), [
      'publisher raw scores 1',
      'publisher v1 chat 1',
      'subscriber raw default 1',
      'subscriber raw other 1',
      'subscriber raw scores 1',
      'subscriber sse chat 1',
      'subscriber v1 scores 1',
      'subscriber v1 several 1',
    ]);
    assert.doesNotMatch(metrics.text, /secret-name|scores:/);
    assert.ok([raw, other, plain, publisher].every(({ isOpen }) => isOpen));
    assert.equal(events.status, 200);
    const accepted = { role: 'subscriber', format: 'raw' };
    assert.equal(metrics.value('rivercast_connections_accepted_total', accepted), 3);
    await asking.socket.close();
    await scrapeUntil(
      server,
      'it is gone',
      (now) => now.value('rivercast_connections', { format: 'v1', role: 'publisher' }) === 0,
    );
  });
});

describe('what is refused', () => {
  test('is counted by where and by code, at every door', async () => {
    await using server = await TestServer.start();
    await refuseAtEveryDoor(server);
    await scrapeUntil(server, 'all of them are counted', countsOneAtEveryDoor);
  });

  test('closes are counted by code, and only those that the server began', async () => {
    await using server = await TestServer.start();
    await using polite = await server.subscriber();
    polite.send('awake');
    await polite.close(1000);
    await closeAsWrong(server);
    const closes = (now: Metrics, code: string): number => now.value('rivercast_closes_total', { code });
    const metrics = await scrapeUntil(server, 'the wrong one is closed', (now) => closes(now, '1002') === 1);
    assert.equal(closes(metrics, '1000'), 0);
  });

  test('two servers in one process count each for itself', async () => {
    await using one = await TestServer.start();
    await using other = await TestServer.start();
    await refuseAtEveryDoor(one);
    await closeAsWrong(one);
    await scrapeUntil(
      one,
      'all of them are counted',
      (now) => countsOneAtEveryDoor(now) && now.value('rivercast_closes_total', { code: '1002' }) === 1,
    );
    const { samples } = await scrape(other);
    const counted = samples.filter(({ name }) => /^rivercast_(refusals|closes)_total$/.test(name));
    assert.deepEqual(counted, []);
  });
});

/** Each refusal is answered by the time this resolves. */
async function refuseAtEveryDoor(server: TestServer): Promise<void> {
  const path = '/api/channels/c/messages';
  await fetch(`${server.address}${path}?after=nonsense`);
  await post(server, '{"data":1}\nnonsense\n', {
    path,
    headers: { 'Content-Type': 'application/x-ndjson' },
  });
  await server.subscriber('?after=nonsense').catch(() => undefined);
  await using v1 = await V1Client.open(server);
  v1.send('nonsense');
  await v1.expect('error');
  await using asking = await V1PublisherClient.open(server);
  asking.publish(1, { channel: 'no name' });
  await asking.expect('error');
  await using broken = await RawSocket.connect(server.address);
  broken.write('NONSENSE\r\n\r\n');
  await broken.head();
}

function countsOneAtEveryDoor(metrics: Metrics): boolean {
  const refused = [
    ['request', 'bad_cursor'],
    ['upgrade', 'bad_cursor'],
    ['publish', 'bad_request'],
    ['publish', 'bad_channel'],
    ['subscribe', 'bad_request'],
    ['request', 'http_400'],
  ] as const;
  return refused.every(([at, code]) => metrics.value('rivercast_refusals_total', { at, code }) === 1);
}

/** By a text frame that is not masked. */
async function closeAsWrong(server: TestServer): Promise<void> {
  await using wrong = await RawSocket.open(server.address, '/ws/manager');
  wrong.write(Buffer.from([0x81, 0x01, 0x61]));
  assert.equal((await wrong.frame()).opcode, 8);
}

describe('the log', () => {
  test('that does not answer is down, and the numbers come all the same', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    assert.deepEqual(await upAndReady(server), [1, 1]);
    log.hold('probe');
    const start = performance.now();
    await scrapeUntil(server, 'it is down', (now) => now.value('rivercast_log_up') === 0);
    assert.ok(performance.now() - start < 4000);
    log.release('probe');
    await scrapeUntil(server, 'it is up', (now) => now.value('rivercast_ready') === 1);
  });

  test('is asked once a look, for readiness and for the numbers', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start({}, log);
    await scrape(server);
    assert.deepEqual([log.count('probe'), log.count('probe-read')], [1, 1]);
  });

  test('entries that could not be stored are counted by what is said of them', async () => {
    const log = new GatedLog();
    await using server = await TestServer.start(
      { OVERLOADED_AFTER_MS: '100ms', HEARTBEAT_MS: '100ms', IDLE_TIMEOUT_MS: '20s' },
      log,
    );
    await using asking = await V1PublisherClient.open(server);
    log.hold('append');
    asking.publish(1);
    await until('it is in flight', () => log.running('append') === 1);
    asking.publish(2);
    await asking.take(2);
    const failed = (now: Metrics, code: string): number =>
      now.value('rivercast_failed_entries_total', { code });
    await scrapeUntil(
      server,
      'they are counted',
      (now) => failed(now, 'overloaded') === 1 && failed(now, 'log_unavailable') === 1,
    );
    log.release('append');
  });
});

async function upAndReady(server: TestServer): Promise<number[]> {
  const metrics = await scrape(server);
  return [metrics.value('rivercast_log_up'), metrics.value('rivercast_ready')];
}
