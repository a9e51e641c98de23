/** The completion scripts, run by the shells they are for where those are installed; by bash, which reads all three, elsewhere. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { CommanderError } from 'commander';
import { buildProgram } from '../../src/cli/program.ts';
import { tempDir } from '../support/temp-dir.ts';

const program = buildProgram({ complain: () => undefined, runServer: async () => undefined });
const COMMANDS = program.commands.map((command) => command.name());
const FLAGS_OF_TAIL = [
  ...['--after', '--count', '--help', '--json', '--null', '--on-gap'],
  ...['--stream', '--token', '--url', '--wait'],
];

/** What `rivercast completion` prints, run in this process. */
async function scriptFor(shell: string): Promise<string> {
  let text = '';
  const own = buildProgram({ complain: () => undefined, runServer: async () => undefined });
  for (const command of own.commands) command.configureOutput({ writeOut: (piece) => (text += piece) });
  try {
    await own.parseAsync(['completion', shell], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
  }
  return text;
}

async function run(shell: string, args: readonly string[], cwd?: string): Promise<string[]> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: cwd ?? '/' };
  const { stdout, stderr } = await promisify(execFile)(shell, args, { cwd, env, timeout: 20_000 });
  assert.equal(stderr, '');
  return stdout.split('\n').filter((line) => line !== '');
}

function missing(shell: string): string | false {
  return spawnSync(shell, ['-c', 'true']).status === 0 ? false : `no ${shell}`;
}

test('bash completes commands and their flags', async () => {
  const script = await scriptFor('bash');
  const complete = (...words: string[]): Promise<string[]> => {
    const set = `COMP_WORDS=(rivercast ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}`;
    return run('bash', ['--norc', '-c', `${script}\n${set}; _rivercast; printf '%s\\n' "\${COMPREPLY[@]}"`]);
  };
  assert.deepEqual(await complete('ta'), ['tail']);
  assert.deepEqual(await complete(''), [...COMMANDS, '--help', '--version']);
  assert.deepEqual((await complete('tail', '')).toSorted(), FLAGS_OF_TAIL);
  assert.deepEqual(await complete('tail', 'scores', '--af'), ['--after']);
  assert.deepEqual(await complete('serve', '--redis-u'), ['--redis-url']);
});

/** The words that a script of fish calls `complete` with; quotes are the same in bash. */
async function callsIn(script: string): Promise<string[][]> {
  const collect = 'complete() { printf "%s\\t" "$@"; echo; }';
  const lines = await run('bash', ['--norc', '-euc', `${collect}\n${script}`]);
  return lines.map((line) => line.split('\t').slice(0, -1));
}

test('the scripts for zsh and fish parse, and have every command with its flags', async (t) => {
  const dir = await tempDir(t);
  await writeFile(join(dir, 'zsh'), await scriptFor('zsh'));
  // All that is in it bash has, too.
  assert.deepEqual(await run('bash', ['-n', 'zsh'], dir), []);
  const script = await scriptFor('zsh');
  const cases = script.split('\n').map((line) => /^ +([\w-]+)\) found=\('--.*help:/.exec(line)?.[1]);
  assert.deepEqual(
    cases.filter((name) => name !== undefined),
    COMMANDS,
  );
  const calls = await callsIn(await scriptFor('fish'));
  const commands = calls.filter((words) => words[3] === '__fish_use_subcommand');
  assert.deepEqual(
    commands.map((words) => words[5]),
    COMMANDS,
  );
  const flags = calls.filter((words) => words[3] === '__fish_seen_subcommand_from tail');
  assert.deepEqual(flags.map((words) => `--${words[5]}`).toSorted(), FLAGS_OF_TAIL);
  for (const words of calls) assert.deepEqual([words.length, words[0], words[6]], [8, '-c', '-d']);
});

test('zsh completes by it, read or found by its name', { skip: missing('zsh') }, async (t) => {
  const dir = await tempDir(t);
  await mkdir(join(dir, 'functions'));
  await writeFile(join(dir, 'functions', '_rivercast'), await scriptFor('zsh'));
  const shown = `compdef() { : }; _files() { print FILES }; _describe() { print -l -- "\${(@P)2}" }`;
  const source = 'source functions/_rivercast';
  const autoload = 'fpath=(functions $fpath); autoload -Uz _rivercast';
  for (const load of [source, autoload]) {
    const complete = async (current: number, command: string, prefix: string): Promise<string[]> => {
      const place = `words=(rivercast ${command} ''); CURRENT=${current}; PREFIX='${prefix}'`;
      const found = await run('zsh', ['-fc', `${shown}; ${load}; ${place}; _rivercast`], dir);
      return found.map((line) => line.replace(/:.*$/, ''));
    };
    assert.deepEqual(await complete(2, "''", ''), COMMANDS, load);
    assert.deepEqual((await complete(3, 'tail', '--')).toSorted(), FLAGS_OF_TAIL, load);
    assert.deepEqual(await complete(3, 'import', ''), ['FILES'], load);
  }
});

test('fish completes by it', { skip: missing('fish') }, async (t) => {
  const dir = await tempDir(t);
  await writeFile(join(dir, 'script'), await scriptFor('fish'));
  const complete = async (line: string): Promise<string[]> => {
    const found = await run('fish', ['--no-config', '-c', `source script; complete -C '${line}'`], dir);
    return found.map((each) => each.replace(/\t.*$/, ''));
  };
  assert.deepEqual(await complete('rivercast ta'), ['tail']);
  assert.deepEqual(await complete('rivercast tail scores --af'), ['--after']);
  assert.deepEqual((await complete('rivercast tail --')).toSorted(), FLAGS_OF_TAIL);
});

test('another shell is told which there are', async () => {
  await assert.rejects(scriptFor('bsh'), /Did you mean bash\?/);
});
