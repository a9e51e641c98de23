/** The Lua scripts beside the compiled code, run by their hash and sent whole only when Redis lacks them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Argument, type Link, RedisFault, type Reply } from './link.ts';

export interface Script {
  readonly source: string;
  readonly sha: string;
}

export function loadScript(name: string): Script {
  const source = readFileSync(new URL(`../scripts/${name}.lua`, import.meta.url), 'utf8');
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

export async function runScript(
  link: Link,
  script: Script,
  [keys, args]: readonly [keys: readonly string[], args: readonly Argument[]],
  deadlineMs: number,
): Promise<Reply> {
  const rest = [String(keys.length), ...keys, ...args];
  try {
    return await link.call('evalsha', [script.sha, ...rest], deadlineMs);
  } catch (error) {
    if (!(error instanceof RedisFault) || error.word !== 'NOSCRIPT') throw error;
    return link.call('eval', [script.source, ...rest], deadlineMs);
  }
}
