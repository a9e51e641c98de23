/** That V8 takes the flag, and that it does what it is for. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

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
  const MIB = 1024 * 1024;
  assert.ok(grownTo('') > 4 * MIB, 'by itself it does: else this shows nothing');
  assert.ok(grownTo('keepYoungGenerationSmall();') <= 2 * MIB);
});
