/** That V8 takes the flag, that it does what it is for, and that it is said before the server is loaded. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { startCli } from '../support/cli.ts';

const MIB = 1024 * 1024;
const MODULE = new URL('../../src/cli/young-generation.js', import.meta.url).href;

/** The bytes that V8 has for new objects after a while of making many, of which some live on. */
function grownTo(prepare: string): number {
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8';
    import { keepYoungGenerationSmall } from '${MODULE}';
    ${prepare}
    let kept = [];
    for (let i = 0; i < 3_000_000; i++) {
      kept.push({ i });
      if (kept.length > 20_000) kept = [];
    }
    console.log(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size);
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  return Number(stdout);
}

test('the part of the heap for new objects does not grow', () => {
  assert.ok(grownTo('') > 4 * MIB, 'by itself it does: else this shows nothing');
  assert.ok(grownTo('keepYoungGenerationSmall();') <= 2 * MIB);
});

test('and grows back to 4 MiB, and no further, when a quiet time has made it smaller', () => {
  const script = `
    import { setImmediate as nextTurn } from 'node:timers/promises';
    import { getHeapSnapshot, getHeapSpaceStatistics } from 'node:v8';
    import { keepYoungGenerationSmall } from '${MODULE}';
    const size = () => getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size;
    let kept = [];
    function makeMany() {
      for (let i = 0; i < 20_000; i++) kept.push({ i });
      if (kept.length > 60_000) kept = [];
    }
    while (size() < ${8 * MIB}) makeMany();
    keepYoungGenerationSmall();
    const sizes = [size()];
    // Gives back all the memory that can be, as V8 does by itself after some seconds without load.
    getHeapSnapshot().destroy();
    sizes.push(size());
    for (let turn = 0; turn < 400; turn++) {
      makeMany();
      await nextTurn();
    }
    console.log(JSON.stringify([...sizes, size()]));
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  const [before = 0, quiet = 0, again = 0] = JSON.parse(stdout) as number[];
  assert.ok(quiet < before, 'it was made smaller: else this shows nothing');
  assert.equal(again, 8 * MIB, 'both halves of 4 MiB');
});

test('nor does what the server loads let it grow beyond 4 MiB', async (t) => {
  const nodeFlags = ['--trace-gc', '--trace-gc-verbose'];
  const cli = startCli(t, { nodeFlags, args: ['serve'], env: { STORE: 'memory', PORT: '0' } });
  await cli.line('started');
  cli.child.kill('SIGTERM');
  const { stdout } = await cli.exit;
  const told = [...stdout.matchAll(/New space, .*committed: +(\d+) KB/g)].map(
    ([, kib]) => Number(kib) * 1024,
  );
  assert.ok(told.length > 5, 'there were collections');
  // Both halves, one of which is empty.
  assert.ok(Math.max(...told) <= 2 * 4 * MIB, `${Math.max(...told)} bytes`);
});
