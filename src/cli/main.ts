#!/usr/bin/env node
/**
 * The command line. Signals, exit codes and everything written to a terminal live in this folder; the rest of
 * the program returns values and throws.
 *
 * Exit codes: 0 stopped, or done, as asked; 1 could not start, or could not go on, or was refused, in whole or in part; 2 wrong
 * flag or setting; 130 ended by Ctrl-C, 143 by SIGTERM.
 */
import { CommanderError } from 'commander';
import { redactText } from '../config/values.ts';
import { StartError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { buildProgram } from './program.ts';
import { keepYoungGenerationSmall } from './young-generation.ts';

let logger: Logger | null = null;

function exit(code: number): never {
  process.exit(code);
}

/** An expected error is a line for the operator; any other is a bug, and is told with its stack. */
function fail(error: unknown): never {
  if (error instanceof StartError) {
    for (const line of error.message.split('\n')) complain(line);
    exit(error.exitCode);
  }
  if (logger === null) complain(`unexpected error: ${error instanceof Error ? error.stack : String(error)}`);
  else logger.fatal({ err: error }, 'unexpected error');
  exit(1);
}

function complain(line: string): void {
  process.stderr.write(`rivercast: ${redactText(line)}\n`);
}

async function runServer(flags: Readonly<Record<string, unknown>>): Promise<void> {
  // First of all: what is loaded from here on would let it grow.
  keepYoungGenerationSmall();
  // The other commands need no server, no schema and no log lines, and start in a fraction of the time without them.
  const [{ loadConfig }, { createLogger }] = await Promise.all([
    import('../config.ts'),
    import('../logger.ts'),
  ]);
  const config = loadConfig({ flags });
  logger = createLogger({ level: config.logLevel });
  const { serve } = await import('./serve.ts');
  exit(await serve(config, logger, exit));
}

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
// A reader that went away (`rivercast --help | head -1`) is no reason to fail.
process.stdout.on('error', () => {});

try {
  await buildProgram({ complain, runServer }).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) exit(error.exitCode === 0 ? 0 : 2);
  fail(error);
}
