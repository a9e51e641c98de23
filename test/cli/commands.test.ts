/** What is the same for all commands: help, the look of what is said. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommanderError } from 'commander';
import { buildProgram } from '../../src/cli/program.ts';
import { LINE_END, Records } from '../../src/cli/records.ts';
import { nearest } from '../../src/cli/suggest.ts';
import { progressLine, table } from '../../src/cli/terminal.ts';

const COMMANDS = [
  'publish',
  'tail',
  'channels',
  'info',
  'trim',
  'export',
  'import',
  'token',
  'api-key',
  'doctor',
  'bench',
  'completion',
];

/** What a command prints, run in this process. */
async function printed(...args: string[]): Promise<string> {
  let text = '';
  const program = buildProgram({ complain: () => undefined, runServer: async () => undefined });
  for (const command of [program, ...program.commands]) {
    command.configureOutput({ writeOut: (piece) => (text += piece) });
  }
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
  }
  return text;
}

test('every command has a help with examples', async () => {
  for (const command of COMMANDS) {
    const pattern = `Usage: rivercast ${command}.*Examples:\n  \\$ .*rivercast ${command}`;
    assert.match(await printed(command, '--help'), new RegExp(pattern, 's'));
  }
});

test('records: wherever the chunks end', () => {
  const text = 'one\n\ntwo three\n\nfour';
  for (let size = 1; size <= text.length; size++) {
    const records = new Records(LINE_END);
    const found: string[] = [];
    for (let at = 0; at < text.length; at += size) {
      for (const record of records.push(Buffer.from(text.slice(at, at + size)))) found.push(String(record));
    }
    for (const record of records.end()) found.push(String(record));
    assert.deepEqual(found, text.split('\n'));
    assert.deepEqual([records.count, records.bytes], [5, text.length]);
  }
  const endless = new Records(LINE_END);
  const half = Buffer.alloc(33 * 1024 * 1024);
  assert.deepEqual([...endless.push(half)], []);
  assert.throws(() => [...endless.push(half)], /message 1 is longer than 67108864 bytes/);
});

test('what was meant, if anything was', () => {
  assert.equal(nearest('publsih', COMMANDS), 'publish');
  assert.equal(nearest('tial', COMMANDS), 'tail');
  assert.equal(nearest('redis://x', COMMANDS), null);
});

test('a bar where the end is known, a count where it is not', () => {
  assert.equal(progressLine(1234, 99.6, null), '1,234 messages, 100/s');
  assert.equal(progressLine(5, 1, 0.5), `${'█'.repeat(12)}${'░'.repeat(12)}  50 %  5 messages, 1/s`);
  assert.equal(
    table([
      ['A', 'BB'],
      ['long', 'c'],
    ]),
    'A     BB\nlong  c\n',
  );
});
