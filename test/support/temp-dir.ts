/** A directory of one's own for a test, removed when the test ends. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** `before` closes what lives in the directory; it runs just before the directory goes. */
export async function tempDir(t: TestContext, before?: () => Promise<unknown>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rivercast-'));
  t.after(async () => {
    await before?.();
    await rm(path, { recursive: true, force: true });
  });
  return path;
}
