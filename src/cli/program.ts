/** The commands, with what their help says: main.ts runs them. */
import { Command, Option } from 'commander';
import { StartError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { type ApiKeyFlags, makeKey } from './api-key.ts';
import { addBench } from './bench.ts';
import { addChannels, addInfo } from './channels.ts';
import { addCompletion } from './completion.ts';
import { addDoctor } from './doctor.ts';
import { addExamples } from './examples.ts';
import { addExport } from './export.ts';
import { addSettings } from './flags.ts';
import { addImport } from './import.ts';
import { addPermissions } from './permissions.ts';
import { addPublish } from './publish.ts';
import { addServer } from './remote.ts';
import { nearest } from './suggest.ts';
import { addTail } from './tail.ts';
import { mintToken, type TokenFlags } from './token.ts';
import { type TrimFlags, trim } from './trim.ts';

const EXAMPLES = `
Examples:
  $ rivercast                                         port 3000, messages kept in ./data
  $ rivercast --port 3000,8080 --log-level debug
  $ rivercast --store memory                          nothing kept: for trying things out
  $ REDIS_URL=redis://127.0.0.1:6379 rivercast        messages kept in a Redis Stream
  $ rivercast tail                                    prints what is published from now on
  $ rivercast publish local-q 'hello'                 publishes to the default channel
  $ tail -F access.log | rivercast publish logs       publishes each line that comes
  $ rivercast doctor                                  looks whether this machine is ready

All settings: rivercast serve --help. More of a command: rivercast tail --help.
`;

const SETTINGS_NOTE = `
A flag wins over its environment variable. Sizes take units (64kib, 1mib, 2gib; kb, mb, gb are powers of 1000),
and so do times (500ms, 30s, 5m, 12h, 7d). Give REDIS_URL in the environment when it holds a password: flags
can be seen by every user of the machine.
`;

const TOKEN_NOTE = `Without a permission it may publish and subscribe everywhere. AUTH_HS256_SECRET is as for the server, for example the
output of: openssl rand -base64 48`;

const TOKEN_EXAMPLES = [
  'rivercast token',
  "rivercast token --subject ann --subscribe 'scores:*' --publish chat --expires 15m",
];

const API_KEY_EXAMPLES = [
  "rivercast api-key backend --publish '*' --file keys.json",
  "rivercast api-key prometheus --admin '*' --file keys.json",
];

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
  addSettings(command.allowExcessArguments()).action(async (flags: Record<string, unknown>) => {
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

function addTrim(program: Command): void {
  const command = program
    .command('trim <channel>')
    .description('remove the oldest messages of a channel, through a running server')
    .requiredOption(
      '--before <id or time>',
      'what lies before this is removed: an id, a time, -2h, last:1000',
    );
  addExamples(addServer(command), [
    'rivercast trim scores --before -2h',
    'rivercast trim scores --before last:1000',
  ]).action(async (channel: string, flags: TrimFlags) => {
    process.stdout.write(`${await trim(channel, flags)}\n`);
  });
}

function addToken(program: Command): void {
  const command = program
    .command('token')
    .description('mint a token for trying things out, signed by AUTH_HS256_SECRET')
    .addOption(new Option('--secret <secret>', 'to sign with').env('AUTH_HS256_SECRET').hideHelp())
    .option('--subject <name>', 'who it is for: the claim sub')
    .option('--expires <time>', 'for how long it is good', '1h')
    .addOption(new Option('--audience <name>', 'the claim aud').env('AUTH_AUDIENCE'))
    .addOption(new Option('--issuer <name>', 'the claim iss').env('AUTH_ISSUER'));
  addExamples(addPermissions(command), TOKEN_EXAMPLES, TOKEN_NOTE).action(async (flags: TokenFlags) => {
    process.stdout.write(`${await mintToken(flags)}\n`);
  });
}

function addApiKey(program: Command): void {
  const command = program
    .command('api-key <name>')
    .description('make a key for a program that has no token; the server keeps its hash')
    .option('--expires <time>', 'for how long it is good; for good unless told')
    .addOption(new Option('--file <path>', 'the file to add it to').env('API_KEYS_FILE'));
  addExamples(addPermissions(command), API_KEY_EXAMPLES).action((name: string, flags: ApiKeyFlags) => {
    const { key, note } = makeKey(name, flags);
    process.stdout.write(`${key}\n`);
    process.stderr.write(`${note}\n`);
  });
}
