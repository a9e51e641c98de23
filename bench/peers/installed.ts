/** Whether a server of others is there. */
import { spawnSync } from 'node:child_process';

/** Its version as it tells it, or null when it cannot be run. */
export function versionOf(command: string, args: readonly string[], pattern: RegExp): string | null {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? (pattern.exec(stdout + stderr)?.[1] ?? 'of an unknown version') : null;
}
