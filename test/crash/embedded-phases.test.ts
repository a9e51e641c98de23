/**
 * kill -9 at named points of what the embedded log does: strace kills the process as it enters its nth write to the
 * store (nothing, or some of a transaction is written; the pages are flushed and the page that makes them count is
 * not), or its nth flush (all is written, nothing is flushed), through opening, appends, a trim, forgetting.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { straceMissing, withDeath } from '../support/disk.ts';
import { tempDir } from '../support/temp-dir.ts';
import { assertPhasesHeld } from './phases.ts';

const WRITER = fileURLToPath(new URL('./embedded-phases.js', import.meta.url));
const PHASES = ['phase opening', 'phase appending', 'phase trimming', 'phase forgetting'];
/** A write is hit more often than a flush: not all of them are tried. */
const CALLS = { fdatasync: 1, pwrite64: 4 };

async function lifeOf(
  t: TestContext,
  command: readonly string[],
  args: readonly string[],
): Promise<string[]> {
  const [program, ...rest] = [...command, process.execPath, WRITER, ...args] as [string, ...string[]];
  // strace counts the calls of each thread: all transactions run on one.
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'ignore'], env });
  t.after(() => child.kill('SIGKILL'));
  const [output] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return output.split('\n').slice(0, -1);
}

for (const [call, step] of Object.entries(CALLS)) {
  test(`killed at its nth ${call}, in every phase of its life, the log holds what it promised`, {
    skip: straceMissing,
  }, async (t) => {
    const deaths: string[] = [];
    for (let nth = 1; ; nth += step) {
      const dataDir = await tempDir(t);
      const lines = await lifeOf(t, withDeath(call, nth), [dataDir]);
      if (lines.at(-1) === 'done') break;
      deaths.push(lines.findLast((line) => line.startsWith('phase')) ?? '');
      await assertPhasesHeld(dataDir, lines);
    }
    t.diagnostic(`killed in ${deaths.join(', ')}`);
    assert.deepEqual([...new Set(deaths)], PHASES);
  });
}

test('killed after the flush and before the acknowledgement, the entries are there and their keys known', async (t) => {
  for (const nth of [1, 3, 5]) {
    const dataDir = await tempDir(t);
    const lines = await lifeOf(t, [], [dataDir, String(nth)]);
    assert.notEqual(lines.at(-1), 'done');
    await assertPhasesHeld(dataDir, lines);
  }
});
