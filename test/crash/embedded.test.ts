/** What the embedded log keeps when its process is killed, its disk is full, or its bytes are changed. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { StartError } from '../../src/errors.ts';
import { straceMissing, withFault } from '../support/disk.ts';
import { tempDir } from '../support/temp-dir.ts';
import { acknowledged, assertHolds, batchSize, openLog } from './written.ts';

const WRITER = fileURLToPath(new URL('./embedded-writer.js', import.meta.url));
const KILLS = 20;
const hasStrace = spawnSync('strace', ['-o', '/dev/null', '--', 'true']).status === 0;

interface Writer {
  readonly child: ChildProcess;
  readonly lines: readonly string[];
  /** Resolves when a line that begins with `prefix` was printed. */
  printed(prefix: string): Promise<void>;
  /** Resolves when the process is gone and all it printed was read. */
  readonly gone: Promise<void>;
}

function startWriter(t: TestContext, command: readonly string[]): Writer {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  const gone = Promise.all([once(child, 'close'), once(reader, 'close')]).then(() => {});
  const printed = async (prefix: string): Promise<void> => {
    while (!lines.some((line) => line.startsWith(prefix))) {
      const isOver = await Promise.race([once(reader, 'line').then(() => false), gone.then(() => true)]);
      assert.ok(!isOver || lines.some((line) => line.startsWith(prefix)), `the writer printed ${prefix}`);
    }
  };
  return { child, lines, printed, gone };
}

test('killed at random moments, the log holds every acknowledged entry, once, in order, whole', async (t) => {
  const dataDir = await tempDir(t);
  const lines: string[] = [];
  for (let i = 0; i < KILLS; i++) {
    const writer = startWriter(t, [process.execPath, WRITER, dataDir]);
    await writer.printed('ack');
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
    writer.child.kill('SIGKILL');
    await writer.gone;
    lines.push(...writer.lines);
  }
  const promised = acknowledged(lines);
  assert.ok(promised.length >= KILLS);
  await assertHolds(dataDir, promised);
});

test('a second server on the same directory is refused, and the first is not disturbed', async (t) => {
  const dataDir = await tempDir(t);
  const first = startWriter(t, [process.execPath, WRITER, dataDir]);
  await first.printed('ack');
  const second = startWriter(t, [process.execPath, WRITER, dataDir]);
  await second.gone;
  assert.deepEqual(second.lines, [`refused another server is using the data directory ${dataDir}`]);
  assert.notEqual(second.child.exitCode, 0);
  await assert.rejects(openLog(dataDir), StartError);
  const before = acknowledged(first.lines).length;
  while (acknowledged(first.lines).length === before) await new Promise((resolve) => setImmediate(resolve));
  first.child.kill('SIGKILL');
  await first.gone;
  await assertHolds(dataDir, acknowledged(first.lines));
});

test('a server that is stopped, not dead, keeps its directory', async (t) => {
  const dataDir = await tempDir(t);
  const writer = startWriter(t, [process.execPath, WRITER, dataDir]);
  await writer.printed('ack');
  writer.child.kill('SIGSTOP');
  await assert.rejects(openLog(dataDir), /another server is using/);
  writer.child.kill('SIGKILL');
  await writer.gone;
});

test('the socket that a killed server leaves behind does not keep the next one out', async (t) => {
  const dataDir = await tempDir(t);
  const writer = startWriter(t, [process.execPath, WRITER, dataDir]);
  await writer.printed('ack');
  writer.child.kill('SIGKILL');
  await writer.gone;
  assert.ok(existsSync(join(dataDir, 'owner.sock')));
  const log = await openLog(dataDir);
  await log.append('one', [{ type: 'text', data: Buffer.from('after') }]);
  await log.close();
  assert.ok(!existsSync(join(dataDir, 'owner.sock')));
});

test('an append resolves only after the flush that holds it', {
  skip: !hasStrace && 'needs strace',
}, async (t) => {
  const dataDir = await tempDir(t);
  const trace = join(await tempDir(t), 'trace');
  // Flushes are made slow, so that an acknowledgement that does not wait for its own comes too early.
  const slow = ['-e', 'inject=fdatasync:delay_enter=30000'] as const;
  const traced = ['-e', 'trace=fdatasync,write', '-s', '64', '-o', trace] as const;
  const calls = ['strace', '-f', ...slow, ...traced] as const;
  const writer = startWriter(t, [...calls, process.execPath, WRITER, dataDir, '10']);
  await writer.gone;
  assert.equal(writer.lines.at(-1), 'done');
  let flushes = 0;
  let flushesWhenOpen = 0;
  let batches = 0;
  const flushesAtBatch = new Map<string, number>();
  const nextBatch = new Map<string, number>();
  for (const line of (await readFile(trace, 'utf8')).split('\n')) {
    if (/fdatasync(\(| resumed).*= 0\b/.test(line)) flushes += 1;
    if (line.includes('write(1, "open')) flushesWhenOpen = flushes;
    const [, channel = '', number = ''] = /write\(1, "ack (\w+) (\d+) /.exec(line) ?? [];
    const ordinal = Number(number);
    if (channel === '' || ordinal !== (nextBatch.get(channel) ?? 1)) continue;
    const before = flushesAtBatch.get(channel) ?? flushesWhenOpen;
    assert.ok(flushes > before, `a flush came before entry ${ordinal} was acknowledged`);
    flushesAtBatch.set(channel, flushes);
    nextBatch.set(channel, ordinal + batchSize(ordinal));
    batches += 1;
  }
  assert.equal(batches, 20);
  await assertHolds(dataDir, acknowledged(writer.lines));
});

test('after a failed flush nothing is acknowledged any more', {
  skip: !hasStrace && 'needs strace',
}, async (t) => {
  const dataDir = await tempDir(t);
  const fault = ['strace', '-f', '-o', '/dev/null', '-e', 'inject=fdatasync:error=EIO:when=8+'] as const;
  const writer = startWriter(t, [...fault, process.execPath, WRITER, dataDir]);
  await writer.gone;
  assertFailedForGood(writer.lines, /Input\/output error/);
  await assertHolds(dataDir, acknowledged(writer.lines));
});

test('when the disk is full, appends are rejected and what was acknowledged stays', async (t) => {
  const dataDir = await tempDir(t);
  const limited = ['sh', '-c', 'ulimit -f 4096; exec "$@"', 'sh'] as const;
  const writer = startWriter(t, [...limited, process.execPath, WRITER, dataDir]);
  await writer.gone;
  assertFailedForGood(writer.lines, /the largest size allowed for a file, 2097152 bytes/);
  await assertHolds(dataDir, acknowledged(writer.lines));
});

test('a write that is refused ends the log, or the process, and what was acknowledged stays', {
  skip: straceMissing,
}, async (t) => {
  const dataDir = await tempDir(t);
  const writer = startWriter(t, [
    ...withFault('pwrite64', 'error=EROFS', 60),
    process.execPath,
    WRITER,
    dataDir,
  ]);
  await writer.gone;
  // lmdb overruns a buffer when it words the error: the process may not live to tell it.
  const failed = writer.lines.find((line) => line.startsWith('failed '));
  if (failed === undefined) assert.notEqual(writer.child.signalCode, null);
  else assert.match(failed, /Read-only file system/);
  assert.ok(acknowledged(writer.lines).length > 0);
  await assertHolds(dataDir, acknowledged(writer.lines));
});

function assertFailedForGood(lines: readonly string[], reason: RegExp): void {
  assert.ok(acknowledged(lines).length > 0);
  const failed = lines.findIndex((line) => line.startsWith('failed '));
  assert.match(lines[failed] ?? '', reason);
  assert.deepEqual(acknowledged(lines.slice(failed)), []);
  const held = { failures: 1, appendRejects: true, trimRejects: true, probeRejects: true, read: 10 };
  assert.deepEqual(lines.slice(failed + 1), [`after ${JSON.stringify(held)}`]);
}

test('entries damaged on disk are told with their exact count, and their neighbours are delivered', async (t) => {
  const dataDir = await tempDir(t);
  const log = await openLog(dataDir);
  const texts = Array.from({ length: 10 }, (_, i) => `entry number ${String(i + 1).padStart(2, '0')}.`);
  const ids = await log.append(
    'c',
    texts.map((text) => ({ type: 'text', data: Buffer.from(text) })),
  );
  const { epoch } = await log.bounds('c');
  await log.close();
  await flipAByteOf(join(dataDir, 'data.mdb'), ['entry number 04.', 'entry number 05.', 'entry number 10.']);

  const again = await openLog(dataDir);
  t.after(() => again.close());
  const start = await again.locate('c', { at: 'earliest' });
  const page = await again.read('c', start, { maxEntries: 100, maxBytes: 100_000 });
  assert.deepEqual(
    page.entries.map(({ data }) => data.toString()),
    texts.filter((_, i) => ![3, 4, 9].includes(i)),
  );
  const cursor = (ordinal: number): object => ({ id: ids[ordinal - 1]?.id, epoch, ordinal });
  const gap = { reason: 'damaged', floor: ids[0]?.id };
  assert.deepEqual(page.gaps, [
    { before: 3, gap: { ...gap, lost: 2, requested: cursor(3), resumeAt: cursor(5) } },
    { before: 7, gap: { ...gap, lost: 1, requested: cursor(9), resumeAt: cursor(10) } },
  ]);
  assert.deepEqual(page.end, cursor(10));

  const small = { maxEntries: 1, maxBytes: 100_000 };
  const afterThird = { id: ids[2]?.id as string, epoch: null, ordinal: null };
  const alone = await again.read('c', afterThird, small);
  assert.deepEqual([alone.entries, alone.gaps[0]?.gap.lost, alone.end], [[], 1, cursor(4)]);
  const next = await again.read('c', alone.end, small);
  assert.deepEqual([next.entries, next.gaps[0]?.gap.lost, next.end], [[], 1, cursor(5)]);
  assert.deepEqual((await again.read('c', next.end, small)).gaps, []);
  const last = await again.locate('c', { at: 'last', count: 3 });
  assert.equal((await again.read('c', last, small)).entries[0]?.data.toString(), texts[7]);
  // Counted back from among them, damaged entries count as well.
  for (const [until, count, before] of [
    [5, 2, 3],
    [4, 1, 3],
    [9, 1, 8],
  ] as const) {
    const back = { at: 'last', count, until: ids[until - 1]?.id as string } as const;
    assert.deepEqual(await again.locate('c', back), cursor(before));
  }
});

test('a damaged record of a channel stops the start with one clear line', async (t) => {
  const dataDir = await tempDir(t);
  const log = await openLog(dataDir);
  await log.append('some.channel', [{ type: 'text', data: Buffer.from('x') }]);
  await log.close();
  await flipAByteOf(join(dataDir, 'data.mdb'), ['some.channel'], 'some.channel'.length + 12);
  await assert.rejects(openLog(dataDir), (error) => {
    return (
      error instanceof StartError && /record of the channel some\.channel .* damaged/.test(error.message)
    );
  });
});

/** Changes one byte in every copy of each text (LMDB copies pages when it writes). */
async function flipAByteOf(file: string, texts: readonly string[], offset = 6): Promise<void> {
  const bytes = await readFile(file);
  for (const text of texts) {
    let at = bytes.indexOf(text);
    assert.ok(at >= 0, `${text} is in the file`);
    for (; at >= 0; at = bytes.indexOf(text, at + 1)) bytes[at + offset] = (bytes[at + offset] as number) ^ 1;
  }
  await writeFile(file, bytes);
}
