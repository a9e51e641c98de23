/** The commands, with what their help says: main.ts runs them. */
import { Command } from 'commander';
import { DEFAULT_CHANNEL } from '../channels.ts';
import { StartError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { addApiKey } from './api-key.ts';
import { addBench } from './bench.ts';
import { addChannels, addInfo } from './channels.ts';
import { addCompletion } from './completion.ts';
import { addDoctor } from './doctor.ts';
import { addExport } from './export.ts';
import { addSettings, takeSettings } from './flags.ts';
import { addImport } from './import.ts';
import { addPublish } from './publish.ts';
import { nearest } from './suggest.ts';
import { addTail } from './tail.ts';
import { addToken } from './token.ts';
import { addTrim } from './trim.ts';

const EXAMPLES = `
Examples:
  $ rivercast                                         port 3000, messages kept in ./data
  $ rivercast --port 3000,8080 --log-level debug
  $ rivercast --store memory                          nothing kept: for trying things out
  $ REDIS_URL=redis://127.0.0.1:6379 rivercast        messages kept in a Redis Stream
  $ rivercast tail                                    prints what is published from now on
  $ rivercast publish ${DEFAULT_CHANNEL} 'hello'                 publishes to the default channel
  $ tail -F access.log | rivercast publish logs       publishes each line that comes
  $ rivercast doctor                                  looks whether this machine is ready

All settings: rivercast serve --help. More of a command: rivercast tail --help.
`;

const SETTINGS_NOTE = `
A flag wins over its environment variable. Sizes take units (64kib, 1mib, 2gib; kb, mb, gb are powers of 1000),
and so do times (500ms, 30s, 5m, 12h, 7d). Give REDIS_URL in the environment when it holds a password: flags
can be seen by every user of the machine.
`;

export interface Hooks {
  /** Says a line of what is wrong. */
  readonly complain: (line: string) => void;
  /** Runs the server with these flags, until it ends. */
  readonly runServer: (flags: Readonly<Record<string, unknown>>) => Promise<void>;
}

export function buildProgram({ complain, runServer }: Hooks): Command {
  const program = new Command('rivercast')
    .description(
      'Durable real-time broadcast: every message is stored, and reaches every subscriber in order.',
    )
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .configureOutput({
      outputError: (text) =>
        complain(
          text
            .replace(/^error: /, '')
            .trim()
            .replaceAll('\n', ' '),
        ),
    })
    .exitOverride()
    .hook('preSubcommand', (_program, command) => addSettings(command))
    .addHelpText('after', EXAMPLES);
  addServe(program, runServer);
  const add = [
    ...[addPublish, addTail, addChannels, addInfo, addTrim, addExport, addImport],
    ...[addToken, addApiKey, addDoctor, addBench, addCompletion],
  ];
  for (const one of add) one(program);
  return program;
}

function addServe(program: Command, runServer: Hooks['runServer']): void {
  const command = program
    .command('serve', { isDefault: true })
    .description('run the server (what happens without a command)')
    .addHelpText('after', SETTINGS_NOTE);
  // The default command is also what a misspelt one arrives at.
  takeSettings(command.allowExcessArguments()).action(async (flags: Record<string, unknown>) => {
    const [unknown] = command.args;
    if (unknown !== undefined) throw noCommand(unknown, program);
    await runServer(flags);
  });
}

function noCommand(word: string, program: Command): StartError {
  const names = program.commands.map((command) => command.name());
  const meant = nearest(word, names);
  const hint = meant === null ? 'See rivercast --help.' : `Did you mean rivercast ${meant}?`;
  return new StartError(`there is no command ${JSON.stringify(word)}. ${hint}`, 2);
}
