/** Files that are read again: what goes wrong once is told once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WatchedFiles } from '../src/watched-files.ts';

test('a reading that fails is told to whoever asked, and the next one reads again', async () => {
  let readings = 0;
  const files = new WatchedFiles({
    paths: [],
    seen: '',
    read: async () => {
      readings += 1;
      if (readings === 1) throw new Error('half written');
    },
    logger: { error: () => undefined },
  });
  try {
    await assert.rejects(files.reload(), /half written/);
    await files.reload();
    assert.equal(readings, 2);
  } finally {
    files.close();
  }
});
