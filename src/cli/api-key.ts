/**
 * `rivercast api-key <name>`: makes a key for a program. The key is shown once; what is kept of it, in the file that
 * the server reads (API_KEYS_FILE), is its hash.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { type KeyItem, makeApiKey, parseApiKeys } from '../api-keys.ts';
import { StartError } from '../errors.ts';
import { addExamples } from './examples.ts';
import { print } from './output.ts';
import { addPermissions, lifetimeOf, type PermissionFlags, permissionsOf } from './permissions.ts';

interface ApiKeyFlags extends PermissionFlags {
  /** To add it to; absent: it is shown what to add. */
  readonly file?: string;
  /** `90d`. */
  readonly expires?: string;
}

interface MadeKey {
  readonly key: string;
  /** For who made it, and not for a program to read. */
  readonly note: string;
}

const EXAMPLES = [
  "rivercast api-key backend --publish '*' --file keys.json",
  "rivercast api-key prometheus --admin '*' --file keys.json",
];

export function addApiKey(program: Command): void {
  const command = program
    .command('api-key <name>')
    .description('make a key for a program that has no token; the server keeps its hash')
    .option('--expires <time>', 'for how long it is good; for good unless told')
    .addOption(new Option('--file <path>', 'the file to add it to').env('API_KEYS_FILE'));
  addExamples(addPermissions(command), EXAMPLES).action(async (name: string, flags: ApiKeyFlags) => {
    const { key, note } = makeKey(name, flags);
    await print(`${key}\n`);
    process.stderr.write(`${note}\n`);
  });
}

/** Throws StartError. */
function makeKey(name: string, flags: ApiKeyFlags): MadeKey {
  const permissions = permissionsOf(flags);
  if (Object.keys(permissions).length === 0) {
    throw new StartError('say what the key is for: --publish, --subscribe or --admin, each with channels', 2);
  }
  const expires =
    flags.expires === undefined
      ? {}
      : { expires: new Date(Date.now() + lifetimeOf(flags.expires)).toISOString() };
  const { key, item } = makeApiKey({ name, ...permissions, ...expires });
  const before = flags.file === undefined ? [] : readItems(flags.file);
  const text = `[\n${[...before, item].map((each) => `  ${JSON.stringify(each)}`).join(',\n')}\n]\n`;
  try {
    parseApiKeys(text);
  } catch (error) {
    throw new StartError(`this would be no file of keys: ${(error as Error).message}`, 2, { cause: error });
  }
  if (flags.file === undefined) return { key, note: `for the file that API_KEYS_FILE names:\n${text}` };
  writeWhole(flags.file, text);
  return { key, note: `added to ${flags.file}; the key above is shown this once` };
}

function readItems(path: string): KeyItem[] {
  try {
    const text = readFileSync(path, 'utf8');
    parseApiKeys(text);
    return JSON.parse(text) as KeyItem[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new StartError(`${path} can not be read as a file of keys: ${(error as Error).message}`, 1, {
      cause: error,
    });
  }
}

/** A server that reads it now must not find half of it. */
function writeWhole(path: string, text: string): void {
  const part = `${path}.${process.pid}`;
  try {
    writeFileSync(part, text, { mode: 0o600 });
    renameSync(part, path);
  } catch (error) {
    throw new StartError(`${path} can not be written: ${(error as Error).message}`, 1, { cause: error });
  }
}
