/** What a command reads from and writes to, when it is a directory, nothing at all, a full disk, or a terminal. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, test } from 'node:test';
import { Output } from '../../src/cli/output.ts';
import { type Exit, runCli, startCli } from '../support/cli.ts';
import { GatedLog } from '../support/gated-log.ts';
import { dataOf, fill, page } from '../support/history.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { within } from '../support/within.ts';

/** With stdin and stdout as a shell has them open. */
function redirected(redirection: string): string[] {
  return ['sh', '-c', `exec "$0" "$@" ${redirection}`];
}

/** On a terminal of its own. */
const ON_TERMINAL = ['bash', '-c', `exec script -qec "$(printf '%q ' "$0" "$@")" /dev/null`];
/** With the flags used here; the one of BSD has others. */
const hasTerminal = spawnSync('sh', ['-c', 'script --version | grep util-linux']).status === 0;

const historyOf = (channel: string): string => `/api/channels/${channel}/messages`;

describe('what can not be read', { concurrency: 3 }, () => {
  test('is named in one line, and what was typed wrongly is exit code 2', async (t) => {
    await using server = await TestServer.start();
    const env = { RIVERCAST_URL: server.address };
    const cwd = await tempDir(t);
    await writeFile(join(cwd, 'file'), '');
    const run = (args: readonly string[], redirection = '< /dev/null'): Promise<Exit> =>
      runCli(t, { args, env, cwd, under: redirected(redirection) });
    const cases: readonly (readonly [Promise<Exit>, code: number, says: string])[] = [
      [run(['publish', 'c'], '< .'), 2, 'stdin can not be read: it is a directory'],
      [run(['import'], '< .'), 2, 'stdin can not be read: it is a directory'],
      [run(['publish', 'c'], '0> other'), 2, 'stdin can not be read: it is not open for reading'],
      [run(['import', '.']), 2, '. can not be read: it is a directory'],
      [run(['import', 'none']), 2, 'none can not be read: there is no such file'],
      [run(['import', 'file/none']), 2, 'file/none can not be read: there is no such file'],
    ];
    for (const [exit, code, says] of cases) {
      assert.deepEqual(await exit, { code, stdout: '', stderr: `rivercast: ${says}\n` });
    }
    assert.deepEqual(await run(['publish', 'c'], '<&-'), { code: 0, stdout: '', stderr: '' });
  });
});

describe('what can not be written', { concurrency: 3 }, () => {
  test('to a full disk is told, and exit code 1', async (t) => {
    await using server = await TestServer.start();
    const env = { RIVERCAST_URL: server.address, AUTH_HS256_SECRET: 'x'.repeat(40) };
    await runCli(t, { args: ['publish', 'c', 'x'], env });
    const commands = [
      ['channels'],
      ['info', 'c'],
      ['export', 'c'],
      ['tail', 'c', '--after', 'earliest', '--count', '1'],
      ['publish', 'c', 'y', '--ids'],
      ['token'],
      ['doctor', '--port', '0'],
    ];
    const under = redirected('> /dev/full');
    const exits = await Promise.all(commands.map((args) => runCli(t, { args, env, under })));
    for (const [i, { code, stderr }] of exits.entries()) {
      assert.equal(code, 1, commands[i]?.join(' '));
      assert.match(stderr, /^rivercast: stdout can not be written: ENOSPC.*\n$/, commands[i]?.join(' '));
    }
    assert.deepEqual(dataOf((await page(server, {}, historyOf('c'))).messages), ['x', 'y']);
  });

  test('whole, since the last part did not fit, is told', async (t) => {
    const log = new GatedLog();
    await fill(log, 9, () => 'x'.repeat(10_000), 'c');
    await using server = await TestServer.start({}, log);
    const run = (limitKib: number): Promise<Exit> =>
      runCli(t, {
        args: ['export', 'c', '--url', server.address],
        under: ['bash', '-c', `ulimit -f ${limitKib}; exec "$0" "$@" > '${join(dir, `${limitKib}`)}'`],
      });
    const dir = await tempDir(t);
    const [enough, short] = await Promise.all([run(100), run(80)]);
    assert.equal(enough.code, 0, enough.stderr);
    assert.equal((await stat(join(dir, '80'))).size, 80 * 1024);
    assert.equal(short.code, 1);
    assert.match(short.stderr, /^rivercast: stdout can not be written: EFBIG.*\n$/);
  });

  test('since nobody reads the ids does not keep messages from being stored', async (t) => {
    await using server = await TestServer.start();
    const args = ['publish', 'c', '--ids', '--url', server.address];
    const { child, exit } = startCli(t, { args, input: { open: true } });
    child.stdin?.write('first\n');
    await within('an id', once(child.stdout as NodeJS.EventEmitter, 'data'));
    child.stdout?.destroy();
    child.stdin?.end('more\n'.repeat(5000));
    const { code, stderr } = await within('the end', exit);
    assert.deepEqual([code, stderr], [0, '']);
    const response = await fetch(`${server.address}/api/channels/c`);
    assert.equal(((await response.json()) as { length: number }).length, 5001);
  });

  test('since the reader went away is not kept', async () => {
    const gone = Object.assign(new Error('nobody reads'), { code: 'EPIPE' });
    // Stdout is never destroyed.
    const stdout = new Writable({ autoDestroy: false, write: (_chunk, _encoding, done) => done(gone) });
    const output = new Output(stdout);
    await output.write('x'.repeat(100_000));
    assert.ok(output.isGone);
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 4_000_000; i++) if (output.write('x') !== undefined) assert.fail();
    assert.ok(process.memoryUsage().heapUsed - before < 16 * 1024 * 1024);
    await output.flush();
  });
});

describe('colours', { skip: hasTerminal ? false : 'no script of util-linux', concurrency: 3 }, () => {
  const isColoured = ({ stdout }: Exit): boolean => stdout.includes('\x1b[3') || stdout.includes('\x1b[1');

  test('are for a terminal that shows them, unless NO_COLOR says no', async (t) => {
    const args = ['doctor', '--store', 'memory', '--port', '0'];
    const run = (
      env: Readonly<Record<string, string>>,
      under: readonly string[] = ON_TERMINAL,
    ): Promise<Exit> => runCli(t, { args, env: { TERM: 'xterm-256color', ...env }, under });
    const exits = await Promise.all([run({}), run({ NO_COLOR: '1' }), run({ TERM: 'dumb' }), run({}, [])]);
    for (const { code, stdout } of exits) assert.match(`${code} ${stdout}`, /^0 .*node/);
    assert.deepEqual(exits.map(isColoured), [true, false, false, false]);
  });

  test('of what a server says go by the same', async (t) => {
    const run = async (env: Readonly<Record<string, string>>): Promise<boolean> => {
      const args = ['serve', '--store', 'memory', '--port', '0'];
      const options = { args, env: { TERM: 'xterm-256color', ...env }, under: ON_TERMINAL };
      const { child, exit } = startCli(t, { ...options, input: { open: true } });
      let said = '';
      const isRunning = new Promise<void>((resolve) => {
        child.stdout?.on('data', (chunk: Buffer) => {
          said += chunk.toString();
          if (said.includes('Ctrl-C stops it')) resolve();
        });
      });
      await within('the start', isRunning);
      child.stdin?.write('\x03');
      const ended = await within('the end', exit);
      assert.match(ended.stdout, /stopped/);
      return isColoured(ended);
    };
    assert.deepEqual(await Promise.all([run({}), run({ NO_COLOR: '1' })]), [true, false]);
  });
});
