/** The Lua scripts beside the compiled code, run by their hash and sent whole only when Redis lacks them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Link, RedisFault } from './connection/link.ts';
import { type Reply, ReplyReader } from './connection/reply.ts';
import type { Argument } from './connection/wire.ts';

const FORBIDDEN = /user executing the script can't|ACL failure in script/;

export interface Script {
  readonly name: string;
  readonly source: string;
  readonly sha: string;
}

export function loadScript(name: string): Script {
  const source = readFileSync(new URL(`../scripts/${name}.lua`, import.meta.url), 'utf8');
  return { name, source, sha: createHash('sha1').update(source).digest('hex') };
}

export interface ScriptCall {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
}

/** A bound as the scripts take it; '' when there is none. */
export function boundText(bound: number | undefined): string {
  return bound === undefined || !Number.isFinite(bound) ? '' : `${Math.floor(bound)}`;
}

/** For a pipeline. By its hash, or whole. */
export function scriptCommand(
  call: ScriptCall,
  { whole }: { whole: boolean } = { whole: false },
): Argument[] {
  const { source, sha } = call.script;
  return whole ? ['eval', ...parameters(source, call)] : ['evalsha', ...parameters(sha, call)];
}

export async function runScript(link: Link, call: ScriptCall, deadlineMs: number): Promise<Reply> {
  try {
    return await link.call('evalsha', parameters(call.script.sha, call), deadlineMs);
  } catch (error) {
    if (!isUnknownScript(error)) throw explained(error, call.script);
  }
  try {
    return await link.call('eval', parameters(call.script.source, call), deadlineMs);
  } catch (error) {
    throw explained(error, call.script);
  }
}

/** The script's replies before and after those of the commands; Redis runs all of it in one go. */
export async function runAround(
  link: Link,
  call: ScriptCall,
  commands: readonly (readonly string[])[],
  deadlineMs: number,
): Promise<Buffer[]> {
  const look = scriptCommand(call);
  return runLoaded(link, call.script, [look, ...commands, look], deadlineMs);
}

/** The replies of one script run over several keys, in one piece. Only for a script that may be run again. */
export async function runForEach(
  link: Link,
  calls: readonly ScriptCall[],
  deadlineMs: number,
): Promise<Reply[]> {
  const [first] = calls;
  if (first === undefined) return [];
  const commands = calls.map((call) => scriptCommand(call));
  const replies = await runLoaded(link, first.script, commands, deadlineMs);
  return replies.map((reply) => new ReplyReader(reply).value());
}

/** Runs commands that name the script by its hash; all of them again when Redis lacked it. */
async function runLoaded(
  link: Link,
  script: Script,
  commands: readonly (readonly Argument[])[],
  deadlineMs: number,
): Promise<Buffer[]> {
  try {
    return await link.pipeline(commands, deadlineMs);
  } catch (error) {
    if (!isUnknownScript(error)) throw explained(error, script);
  }
  try {
    await link.call('script', ['load', script.source], deadlineMs);
    return await link.pipeline(commands, deadlineMs);
  } catch (error) {
    throw explained(error, script);
  }
}

function parameters(script: string, { keys, args }: ScriptCall): Argument[] {
  return [script, String(keys.length), ...keys, ...args];
}

/** What a user may not do within a script Redis tells by the number of a line only; here it gets its name. */
export function explained(error: unknown, { name, source }: Script): unknown {
  if (!(error instanceof RedisFault) || !FORBIDDEN.test(error.message)) return error;
  const line = source.split('\n')[Number(/@user_script:(\d+)/.exec(error.message)?.[1]) - 1] ?? '';
  const [, command = 'a command', sub] = /redis\.call\('(\w+)'(?:, '([A-Z]+)')?/.exec(line) ?? [];
  const what = sub === undefined ? command : `${command} ${sub}`;
  const missing = `NOPERM the user of Redis may not run ${what} on these keys, which ${name}.lua does`;
  return new RedisFault('configuration', missing);
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof RedisFault && error.word === 'NOSCRIPT';
}
