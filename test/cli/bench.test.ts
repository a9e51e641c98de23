/** `rivercast bench`: what it prints, and that it leaves nothing behind, however it ends. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { describe, type TestContext, test } from 'node:test';
import { type RunningCli, runCli, startCli } from '../support/cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until, within } from '../support/within.ts';

test('a bench prints rates, and leaves nothing running', async (t) => {
  const args = ['bench', '--time', '100ms', '--subscribers', '3', '--store', 'memory', '--json'];
  const { code, stdout, stderr } = await runCli(t, { args });
  assert.deepEqual([code, stderr], [0, '']);
  const rates = JSON.parse(stdout) as Record<string, number & { p50: number; p99: number }>;
  const { storedPerS = 0, deliveredPerS = 0, deliveryMs = { p50: 0, p99: -1 } } = rates;
  assert.ok(storedPerS > 100 && deliveredPerS > 100, stdout);
  assert.ok(deliveryMs.p50 > 0 && deliveryMs.p50 <= deliveryMs.p99, stdout);
});

test('words for people: each number with what it is', async (t) => {
  const args = ['bench', '--time', '100ms', '--subscribers', '3', '--store', 'memory'];
  const { code, stdout } = await runCli(t, { args });
  assert.equal(code, 0);
  assert.match(stdout, /^stored +[\d,]+\/s from one publisher.*\ndelivered +[\d,]+\/s to 3 subscribers\n/);
  assert.match(
    stdout,
    /\nacknowledged +[\d.]+ ms until the publisher is told.*\nseen +[\d.]+ ms until a subscriber/,
  );
});

test('what is in its way is told in a line', async (t) => {
  const [folder, files] = await Promise.all([
    runCli(t, { args: ['bench'], env: { TMPDIR: '/nowhere' } }),
    runCli(t, {
      args: ['bench', '--time', '100ms', '--subscribers', '500', '--store', 'memory'],
      under: ['bash', '-c', 'ulimit -n 120; exec "$0" "$@"'],
    }),
  ]);
  assert.deepEqual([folder.code, files.code], [1, 1]);
  assert.match(folder.stderr, /^rivercast: there is no room for its log: .*TMPDIR.*\n$/);
  assert.match(files.stderr, /^rivercast: a subscriber can not connect \(EMFILE\): raise ulimit -n.*\n$/);
});

describe('a bench that does not come to its end', {
  skip: process.platform === 'linux' ? false : 'it is looked for in /proc',
  concurrency: 2,
}, () => {
  /** One whose server is at work, with its process id. */
  async function started(t: TestContext, dir: string): Promise<RunningCli & { readonly server: number }> {
    const args = ['bench', '--time', '30s', '--subscribers', '1'];
    const running = startCli(t, { args, env: { TMPDIR: dir } });
    const { pid = 0 } = running.child;
    await until('its server writes', async () => {
      const [folder] = await readdir(dir);
      return folder !== undefined && (await readdir(`${dir}/${folder}`)).length > 0;
    });
    const server = Number(await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'));
    assert.ok(server > 0);
    return { ...running, server };
  }

  test('by Ctrl-C ends its server, and removes its log', async (t) => {
    const dir = await tempDir(t);
    const { child, exit, server } = await started(t, dir);
    child.kill('SIGINT');
    assert.deepEqual(await within('the end', exit), { code: null, stdout: '', stderr: '' });
    assert.equal(child.signalCode, 'SIGINT');
    assert.deepEqual(await readdir(dir), []);
    await until('the server is gone', async () => !(await isRunning(server)));
  });

  test('since its server ended says so', async (t) => {
    const dir = await tempDir(t);
    const { exit, server } = await started(t, dir);
    process.kill(server, 'SIGKILL');
    const { code, stderr } = await within('the end', exit);
    assert.deepEqual([code, stderr], [1, 'rivercast: the server for it ended: it was killed\n']);
    assert.deepEqual(await readdir(dir), []);
  });
});

/** Nobody may have asked yet how it ended. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return stat !== null && !stat.includes(') Z ');
}
