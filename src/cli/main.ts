#!/usr/bin/env node
/**
 * The command line. Signals, exit codes and everything written to a terminal live in this folder; the rest of
 * the program returns values and throws.
 *
 * Exit codes: 0 stopped, or done, as asked; 1 could not start, or could not go on, or was refused; 2 wrong flag or
 * setting; 130 a second Ctrl-C.
 */
import { Command, CommanderError, Option } from 'commander';
import { redactText } from '../config/values.ts';
import { loadConfig } from '../config.ts';
import { StartError } from '../errors.ts';
import { createLogger, type Logger } from '../logger.ts';
import { VERSION } from '../version.ts';
import { type ApiKeyFlags, makeKey } from './api-key.ts';
import { addSettings } from './flags.ts';
import { addPermissions } from './permissions.ts';
import { serve } from './serve.ts';
import { mintToken, type TokenFlags } from './token.ts';
import { DEFAULT_URL, type TrimAsk, trim } from './trim.ts';

const EXAMPLES = `
Examples:
  $ rivercast                                         port 3000, messages kept in ./data
  $ rivercast --port 3000,8080 --log-level debug
  $ rivercast --store memory                          nothing kept: for trying things out
  $ REDIS_URL=redis://127.0.0.1:6379 rivercast        messages kept in a Redis Stream
  $ rivercast trim scores --before -2h                removes what is older than two hours

All settings: rivercast serve --help
`;

const SETTINGS_NOTE = `
A flag wins over its environment variable. Sizes take units (64kib, 1mib, 2gib; kb, mb, gb are powers of 1000),
and so do times (500ms, 30s, 5m, 12h, 7d). Give REDIS_URL in the environment when it holds a password: flags
can be seen by every user of the machine.
`;

const TOKEN_EXAMPLES = `
Without a permission it may publish and subscribe everywhere.

Examples:
  $ export AUTH_HS256_SECRET=$(openssl rand -base64 48)
  $ rivercast token
  $ rivercast token --subject ann --subscribe 'scores:*' --publish chat --expires 15m
`;

const API_KEY_EXAMPLES = `
Examples:
  $ rivercast api-key backend --publish '*' --file keys.json
  $ rivercast api-key prometheus --admin '*' --file keys.json
`;

let logger: Logger | null = null;

function exit(code: number): never {
  process.exit(code);
}

/** An expected error is a line for the operator; any other is a bug, and is logged with its stack. */
function fail(error: unknown): never {
  if (error instanceof StartError) {
    for (const line of error.message.split('\n')) complain(line);
    exit(error.exitCode);
  }
  (logger ?? createLogger({ level: 'fatal' })).fatal({ err: error }, 'unexpected error');
  exit(1);
}

function complain(line: string): void {
  process.stderr.write(`rivercast: ${redactText(line)}\n`);
}

function buildProgram(): Command {
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

  const command = program
    .command('serve', { isDefault: true })
    .description('run the server (what happens without a command)')
    .addHelpText('after', SETTINGS_NOTE);
  // The default command is also what a misspelt one arrives at.
  addSettings(command.allowExcessArguments()).action(async (flags: Record<string, unknown>) => {
    const [unknown] = command.args;
    if (unknown !== undefined) {
      throw new StartError(`there is no command ${JSON.stringify(unknown)}. See rivercast --help.`, 2);
    }
    const config = loadConfig({ flags });
    logger = createLogger({ level: config.logLevel });
    exit(await serve(config, logger, exit));
  });
  addTrim(program);
  addToken(program);
  addApiKey(program);
  return program;
}

function addTrim(program: Command): void {
  program
    .command('trim <channel>')
    .description('remove the oldest messages of a channel, through a running server')
    .requiredOption(
      '--before <id or time>',
      'what lies before this is removed: an id, a time, -2h, last:1000',
    )
    .showHelpAfterError('rivercast: for example: rivercast trim scores --before -2h')
    .addOption(new Option('--url <url>', 'the server').env('RIVERCAST_URL').default(DEFAULT_URL))
    .addOption(
      new Option('--token <token>', 'what it asks for, if it does: a token or an API key').env(
        'RIVERCAST_TOKEN',
      ),
    )
    .action(async (channel: string, flags: Omit<TrimAsk, 'channel'>) => {
      process.stdout.write(`${await trim({ channel, ...flags })}\n`);
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
    .addOption(new Option('--issuer <name>', 'the claim iss').env('AUTH_ISSUER'))
    .addHelpText('after', TOKEN_EXAMPLES);
  addPermissions(command).action(async (flags: TokenFlags) => {
    process.stdout.write(`${await mintToken(flags)}\n`);
  });
}

function addApiKey(program: Command): void {
  const command = program
    .command('api-key <name>')
    .description('make a key for a program that has no token; the server keeps its hash')
    .option('--expires <time>', 'for how long it is good; for good unless told')
    .addOption(new Option('--file <path>', 'the file to add it to').env('API_KEYS_FILE'))
    .addHelpText('after', API_KEY_EXAMPLES);
  addPermissions(command).action((name: string, flags: ApiKeyFlags) => {
    const { key, note } = makeKey(name, flags);
    process.stdout.write(`${key}\n`);
    process.stderr.write(`${note}\n`);
  });
}

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
// A reader that went away (`rivercast --help | head -1`) is no reason to fail.
process.stdout.on('error', () => {});

try {
  await buildProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) exit(error.exitCode === 0 ? 0 : 2);
  fail(error);
}
