/** The flags that say what a token or an API key is to grant. */
import type { Command } from 'commander';
import { PATTERN_RULE } from '../channels.ts';
import { parseTime } from '../config/values.ts';
import { StartError } from '../errors.ts';
import { isPatterns } from '../grant.ts';

export interface PermissionFlags {
  readonly publish?: readonly string[];
  readonly subscribe?: readonly string[];
  readonly admin?: readonly string[];
}

export function addPermissions(command: Command): Command {
  return command
    .option('--publish <channels...>', 'channels to publish to: a name, the beginning of names and *, or *')
    .option('--subscribe <channels...>', 'channels to subscribe to, and to read the history of')
    .option('--admin <channels...>', 'channels to remove messages of; * for the server: statistics, metrics');
}

/** Only those that were given. Throws StartError. */
export function permissionsOf(flags: PermissionFlags): PermissionFlags {
  const given: Record<string, readonly string[]> = {};
  for (const name of ['publish', 'subscribe', 'admin'] as const) {
    const patterns = flags[name]?.flatMap((text) => text.split(',')).filter((text) => text !== '');
    if (patterns === undefined) continue;
    if (!isPatterns(patterns))
      throw new StartError(`--${name} takes channels, each one of: ${PATTERN_RULE}`, 2);
    given[name] = patterns;
  }
  return given;
}

/** In ms from now. Throws StartError. */
export function lifetimeOf(text: string): number {
  const ms = parseTime(text);
  if (ms >= 1000) return ms;
  throw new StartError(`--expires takes a time such as 15m, 1h, 30d: ${JSON.stringify(text)} is none`, 2);
}
