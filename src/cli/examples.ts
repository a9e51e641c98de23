/** What a command's help ends with, and what somebody who got it wrong is shown. */
import type { Command } from 'commander';

/** Each is a command line and, perhaps, two spaces and what it does. The first one is shown when something was typed wrongly. */
export function addExamples(command: Command, examples: readonly string[], note = ''): Command {
  const [first = ''] = examples;
  const before = note === '' ? '' : `\n${note}\n`;
  return command
    .addHelpText('after', `${before}\nExamples:\n${examples.map((line) => `  $ ${line}\n`).join('')}`)
    .showHelpAfterError(`rivercast: for example: ${first.replace(/ {2}.*$/, '')}`);
}
