/** The command line flags of the settings, as the configuration schema lists them. */
import { type Command, Option } from 'commander';
import { SETTINGS, type Setting } from '../config.ts';

/** `isHidden`: they are taken, and not listed by `--help`. */
export function addSettings(command: Command, isHidden = false): Command {
  for (const setting of SETTINGS) command.addOption(toOption(setting).hideHelp(isHidden));
  return command;
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
