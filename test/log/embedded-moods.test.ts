/**
 * The embedded log in all its moods, as whoever stands around a server meets them: publishers of every door,
 * a live subscriber, and the operator, who gets a line and an exit code, and all that was acknowledged after the
 * next start.
 */
import assert from 'node:assert/strict';
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { open as openLmdb } from 'lmdb';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import { StartError } from '../../src/errors.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import type { Log } from '../../src/log/log.ts';
import { FROM_ZERO, readAll, texts } from '../contract/log/support.ts';
import { type Exit, runCli, startCli } from '../support/cli.ts';
import {
  makeReadOnly,
  mountsMissing,
  smallDisk,
  straceMissing,
  withFault,
  withFileLimit,
} from '../support/disk.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { cursorOf, WebSocketClient } from '../support/websocket-client.ts';
import { within } from '../support/within.ts';

const LOUD = 'x'.repeat(16 * 1024);
const RAW = 'raw';
const V1 = 'acknowledged';
const HTTP = 'posted';

function openLog(dataDir: string): Promise<EmbeddedLog> {
  return EmbeddedLog.open({ dataDir, clock: systemClock, retention: () => DEFAULT_RETENTION });
}

/** What a publisher that is answered was told. */
interface Told {
  /** The keys acknowledged, and their ids. */
  readonly acknowledged: Map<string, string>;
  /** The keys of what was published and never acknowledged, in that order. */
  readonly open: string[];
  /** The first answer that was no acknowledgement; null when there was none, the server being gone. */
  refusal: Record<string, unknown> | null;
}

/** So many publishes of the v1 publisher wait for an answer at any time. */
const WINDOW = 4;
/** About one in three ends early on a busy machine. */
const MAX_TRIES = 10;

async function publishV1(address: string): Promise<Told> {
  const told: Told = { acknowledged: new Map(), open: [], refusal: null };
  const url = `${address.replace('http', 'ws')}/ws/manager?channel=${V1}`;
  await using client = await WebSocketClient.connect(url, { protocols: ['rivercast.v1'] });
  await client.text();
  for (let i = 0; told.refusal === null; i++) {
    const key = `v1-${i}`;
    client.send(JSON.stringify({ type: 'publish', data: `${key} ${LOUD}`, key }));
    told.open.push(key);
    if (told.open.length < WINDOW) continue;
    const text = await client.text().catch(() => null);
    if (text === null) break;
    const answer = JSON.parse(text) as Record<string, unknown>;
    if (answer['type'] === 'ack') told.acknowledged.set(told.open.shift() as string, answer['id'] as string);
    else told.refusal = answer;
  }
  return told;
}

async function publishHttp(address: string): Promise<Told> {
  const told: Told = { acknowledged: new Map(), open: [], refusal: null };
  for (let i = 0; told.open.length === 0; i++) {
    const key = `http-${i}`;
    told.open.push(key);
    const answer = await post(address, key).catch(() => null);
    if (answer === null) break;
    if (answer['status'] === 201) told.acknowledged.set(told.open.shift() as string, answer['id'] as string);
    else told.refusal = answer;
  }
  return told;
}

async function post(address: string, key: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`${address}/api/channels/${HTTP}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain', 'idempotency-key': key },
    body: `${key} ${LOUD}`,
  });
  return { ...((await answer.json()) as object), status: answer.status };
}

/** Publishes until the server ends the connection; resolves with how it did. */
async function publishRaw(client: WebSocketClient): Promise<{ code: number; reason: string }> {
  for (let i = 0; client.isOpen; i++) {
    client.send(`${i} ${LOUD}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return within('the end of the raw publisher', client.closed);
}

interface Witnessed {
  readonly exit: Exit;
  readonly rawClose: { code: number; reason: string };
  readonly v1: Told;
  readonly http: Told;
  readonly delivered: string[];
  readonly subscriberClose: { code: number; reason: string };
}

/**
 * The same, in the first of several tries that the server outlives. lmdb 3.5 writes the reason of a failed write
 * into memory that is too small for it (`mdb_page_flush`: 100 bytes for up to 109), which at times ends the process.
 */
async function witnessFailedWrite(
  t: TestContext,
  under: readonly string[],
): Promise<{ seen: Witnessed; dataDir: string }> {
  for (let tries = 1; ; tries++) {
    const dataDir = await tempDir(t);
    const seen = await witnessFailure(t, dataDir, under);
    if (seen.exit.code !== null || tries === MAX_TRIES) return { seen, dataDir };
    assert.match(seen.exit.stderr, /^Write error: /m, 'it was lmdb that met the failure');
  }
}

/** Runs a server whose log fails sooner or later, with everybody around it. */
async function witnessFailure(t: TestContext, dataDir: string, under: readonly string[]): Promise<Witnessed> {
  const env = { PORT: '0', DATA_DIR: dataDir, DRAIN_TIMEOUT_MS: '3s' };
  const cli = startCli(t, { env, under });
  const started = await within('the start', cli.line('started'));
  const address = (started['addresses'] as string[])[0] as string;
  const base = address.replace('http', 'ws');
  await using subscriber = await WebSocketClient.connect(
    `${base}/ws/broadcast?channel=${RAW}&after=earliest`,
  );
  await using publisher = await WebSocketClient.connect(`${base}/ws/manager?channel=${RAW}`);
  const [rawClose, v1, http] = await within(
    'everybody to be told',
    Promise.all([publishRaw(publisher), publishV1(address), publishHttp(address)]),
    60_000,
  );
  const subscriberClose = await within('the end of the subscriber', subscriber.closed);
  const delivered = (await subscriber.rest()).map(({ data }) => data.toString());
  const exit = await within('the end of the server', cli.exit);
  return { exit, rawClose, v1, http, delivered, subscriberClose };
}

/** What everybody sees when the log fails for good while the server runs. */
function assertTold(seen: Witnessed, cause: RegExp): void {
  assert.equal(seen.exit.code, 1, seen.exit.stderr);
  const fatal = seen.exit.stderr.split('\n').filter((line) => line.includes('the server cannot go on'));
  assert.equal(fatal.length, 1);
  assert.match(fatal[0] as string, cause);
  // Between two messages, or requests, there is nothing to answer: all that is left to tell is the stop.
  assert.ok([1013, 1012].includes(seen.rawClose.code), String(seen.rawClose.code));
  if (seen.v1.refusal !== null) assertUnavailable(seen.v1.refusal);
  if (seen.http.refusal !== null) assertUnavailable(seen.http.refusal);
  assert.equal(seen.subscriberClose.code, 1012);
  assert.ok(seen.v1.acknowledged.size > 0 && seen.http.acknowledged.size > 0 && seen.delivered.length > 0);
}

/** An error of v1, or what HTTP answered: there the status says that trying again can help. */
function assertUnavailable(refusal: Record<string, unknown> | null): void {
  const { type, code, retry, status } = refusal ?? {};
  assert.equal(code, 'log_unavailable');
  assert.deepEqual([retry, status], type === 'error' ? [true, undefined] : [undefined, 503]);
}

/** After the next start: all that was acknowledged or delivered, once, under its id; and retries are known. */
async function assertKept(dataDir: string, seen: Witnessed): Promise<void> {
  const log = await openLog(dataDir);
  try {
    const raw = texts((await readAll(log, RAW, FROM_ZERO)).entries);
    assert.deepEqual(raw.slice(0, seen.delivered.length), seen.delivered);
    assert.deepEqual(
      raw,
      raw.map((_, i) => `${i} ${LOUD}`),
    );
    const [id = ''] = cursorOf(seen.subscriberClose).split('@');
    const { entries } = await readAll(log, RAW, { id, epoch: null, ordinal: null });
    assert.deepEqual(texts(entries), raw.slice(seen.delivered.length));
    await assertAcknowledged(log, V1, seen.v1);
    await assertAcknowledged(log, HTTP, seen.http);
  } finally {
    await log.close();
  }
}

async function assertAcknowledged(log: Log, channel: string, told: Told): Promise<void> {
  const keys = [...told.acknowledged.keys(), ...told.open];
  const retries = keys.map((key) => ({ type: 'text' as const, data: Buffer.from(`${key} ${LOUD}`), key }));
  const results = await log.append(channel, retries);
  for (const [i, id] of [...told.acknowledged.values()].entries()) {
    assert.deepEqual(results[i], { id, duplicate: true });
  }
  const { entries, gaps } = await readAll(log, channel, FROM_ZERO);
  assert.deepEqual(gaps, []);
  assert.deepEqual(
    texts(entries),
    keys.map((key) => `${key} ${LOUD}`),
  );
  assert.deepEqual(
    entries.map(({ id }) => id),
    results.map(({ id }) => id),
  );
}

test('the disk is full: everybody is told, exit code 1, and nothing acknowledged is lost', {
  skip: mountsMissing,
}, async (t) => {
  const disk = smallDisk(t, 4);
  const dataDir = join(disk, 'data');
  const seen = await witnessFailure(t, dataDir, []);
  assertTold(seen, /the disk is full: \d+ KiB are free/);
  const env = { PORT: '0', DATA_DIR: dataDir };
  await rm(join(dataDir, 'lock.mdb'));
  await writeFile(join(disk, 'filler'), Buffer.alloc(4 * 1024 * 1024)).catch(() => undefined);
  const refused = await runCli(t, { env });
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /^rivercast: cannot write to the data directory .*: the disk is full: \d+ KiB.*\n$/,
  );
  // Room is given back.
  await rm(join(disk, 'filler'));
  const roomy = join(await tempDir(t), 'data');
  await cp(dataDir, roomy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  await assertKept(roomy, seen);
});

test('a file may not grow any more: everybody is told, exit code 1, and nothing acknowledged is lost', async (t) => {
  const dataDir = await tempDir(t);
  const seen = await witnessFailure(t, dataDir, withFileLimit(3));
  assertTold(seen, /the largest size allowed for a file, 3145728 bytes/);
  await assertKept(dataDir, seen);
});

test('a flush that fails: everybody is told, exit code 1, and nothing acknowledged is lost', {
  skip: straceMissing,
}, async (t) => {
  const dataDir = await tempDir(t);
  const seen = await witnessFailure(t, dataDir, withFault('fdatasync', 'error=EIO', 60));
  assertTold(seen, /could not be written: .*Input\/output error/);
  await assertKept(dataDir, seen);
});

test('a file system that turns read-only: everybody is told, exit code 1, and nothing acknowledged is lost', {
  skip: straceMissing,
}, async (t) => {
  const fault = withFault('pwrite64', 'error=EROFS', 120);
  const { seen, dataDir } = await witnessFailedWrite(t, fault);
  assertTold(seen, /could not be written: .*Read-only file system/);
  await assertKept(dataDir, seen);
});

test('another server took the directory over: publishers are told at every door, readers go on', async (t) => {
  const dataDir = await tempDir(t);
  const log = await openLog(dataDir);
  const server = await TestServer.start({}, log);
  t.after(() => server.stop());
  await using subscriber = await server.subscriber(`?channel=${RAW}&after=earliest`);
  await using publisher = await server.publisher(`?channel=${RAW}`);
  publisher.send('stored');
  assert.equal(await subscriber.text(), 'stored');
  await steal(dataDir);
  const [rawClose, v1, http] = await within(
    'everybody to be told',
    Promise.all([publishRaw(publisher), publishV1(server.address), post(server.address, 'k')]),
  );
  assert.equal(rawClose.code, 1013);
  assertUnavailable(v1.refusal);
  assertUnavailable(http);
  assert.equal(v1.acknowledged.size, 0);
  assert.match(String(v1.refusal?.['message']), /another server has taken over/);
  await using reader = await server.subscriber(`?channel=${RAW}&after=earliest`);
  assert.equal(await reader.text(), 'stored');
  const ready = await fetch(`${server.address}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /another server has taken over/);
});

/** Writes another owner into the store, as a server on another machine with the same directory would. */
async function steal(dataDir: string): Promise<void> {
  const root = openLmdb<Buffer, Buffer>({
    path: dataDir,
    noSubdir: false,
    overlappingSync: false,
    maxDbs: 8,
  });
  const control = root.openDB<Buffer, Buffer>({
    name: 'control',
    encoding: 'binary',
    keyEncoding: 'binary',
    useVersions: true,
  });
  await control.put(Buffer.from('owner'), Buffer.from('thief'), 5);
  await root.close();
}

test('a read-only data directory: one line, exit code 1', { skip: mountsMissing }, async (t) => {
  const disk = smallDisk(t, 4);
  await (await openLog(join(disk, 'data'))).close();
  makeReadOnly(disk);
  for (const dataDir of [join(disk, 'data'), join(disk, 'new')]) {
    const { code, stderr } = await runCli(t, { env: { PORT: '0', DATA_DIR: dataDir } });
    assert.equal(code, 1);
    assert.match(stderr, /^rivercast: the data directory \S+ is not writable: .*EROFS.*\n$/);
  }
});

test('a disk with room for a lock file and no more: one line, whatever is left', {
  skip: mountsMissing,
}, async (t) => {
  const disk = smallDisk(t, 1);
  const filler = join(disk, 'filler');
  for (const kibibytes of [0, 8, 16, 20, 24, 40]) {
    await writeFile(filler, Buffer.alloc((1024 - kibibytes) * 1024));
    await assert.rejects(openLog(join(disk, `data${kibibytes}`)), (error) => {
      return error instanceof StartError && /the disk is full|ENOSPC/.test(error.message);
    });
    await rm(filler);
    await rm(join(disk, `data${kibibytes}`), { recursive: true, force: true });
  }
});
