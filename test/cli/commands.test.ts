/** What is the same for all commands: help, completion, the look of what is said. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { LINE_END, Records } from '../../src/cli/records.ts';
import { nearest } from '../../src/cli/suggest.ts';
import { progressLine, table } from '../../src/cli/terminal.ts';
import { runCli } from '../support/cli.ts';

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

test('every command has a help with examples', async (t) => {
  const helps = await Promise.all(COMMANDS.map((command) => runCli(t, { args: [command, '--help'] })));
  for (const [i, { code, stdout }] of helps.entries()) {
    assert.equal(code, 0);
    assert.match(
      stdout,
      new RegExp(`Usage: rivercast ${COMMANDS[i]}.*Examples:\n  \\$ .*rivercast ${COMMANDS[i]}`, 's'),
    );
  }
});

test('bash completes commands and their flags; every shell is given all of them', async (t) => {
  const [bash, zsh, fish, none] = await Promise.all(
    ['bash', 'zsh', 'fish', 'bsh'].map((shell) => runCli(t, { args: ['completion', shell] })),
  );
  for (const command of COMMANDS)
    for (const script of [bash, zsh, fish]) assert.ok(script?.stdout.includes(command));
  assert.deepEqual([none?.code, none?.stdout], [2, '']);
  assert.match(none?.stderr ?? '', /Did you mean bash\?/);
  const complete = async (...words: string[]): Promise<string> => {
    const script = `${bash?.stdout}\nCOMP_WORDS=(rivercast ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _rivercast; echo "\${COMPREPLY[*]}"`;
    return (await promisify(execFile)('bash', ['-c', script])).stdout.trim();
  };
  assert.equal(await complete('ta'), 'tail');
  assert.equal(await complete('tail', 'scores', '--af'), '--after');
  assert.equal(await complete('serve', '--redis-u'), '--redis-url');
});

test('a bench prints rates, and leaves nothing running', async (t) => {
  const args = ['bench', '--time', '100ms', '--subscribers', '3', '--store', 'memory', '--json'];
  const { code, stdout, stderr } = await runCli(t, { args });
  assert.deepEqual([code, stderr], [0, '']);
  const rates = JSON.parse(stdout) as Record<string, number & { p50: number; p99: number }>;
  const { storedPerS = 0, deliveredPerS = 0, deliveryMs = { p50: 0, p99: -1 } } = rates;
  assert.ok(storedPerS > 100 && deliveredPerS > 100, stdout);
  assert.ok(deliveryMs.p50 > 0 && deliveryMs.p50 <= deliveryMs.p99, stdout);
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
