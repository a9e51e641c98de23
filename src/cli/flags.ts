/**
 * The command line flags of the settings, as the configuration schema lists them. They are added when their command is the one
 * that runs: loading the schema takes longer than most other commands take for all they do.
 */
import { type Command, Option } from 'commander';
import type { Setting } from '../config.ts';

interface Taking {
  readonly isHidden: boolean;
}

const waiting = new WeakMap<Command, Taking>();

/** The command is to have a flag for each setting. `isHidden`: they are taken, and not listed by `--help`. */
export function takeSettings(command: Command, { isHidden }: Taking = { isHidden: false }): Command {
  waiting.set(command, { isHidden });
  return command;
}

/** Adds what the command waits for. */
export async function addSettings(command: Command): Promise<void> {
  const taking = waiting.get(command);
  if (taking === undefined) return;
  waiting.delete(command);
  const { SETTINGS } = await import('../config.ts');
  for (const setting of SETTINGS) command.addOption(toOption(setting).hideHelp(taking.isHidden));
}

/** Values stay text here: the schema parses them, so that a flag and a variable mean the same. */
function toOption(setting: Setting): Option {
  const value = setting.boolean ? '[boolean]' : '<value>';
  const notes = [`env ${setting.name}`];
  if (setting.defaultValue !== '') notes.push(`default ${setting.defaultValue}`);
  const description = setting.description.replaceAll('`', '');
  return new Option(`${setting.flag} ${value}`, `${description} (${notes.join(', ')})`).helpGroup(
    `${setting.section}:`,
  );
}
