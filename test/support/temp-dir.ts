/** A directory of one's own for a test, removed when the test ends. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Call it before opening what lives in the directory: hooks run in the order they were registered. */
export async function tempDir(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rivercast-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}
