/** The unit in deploy/systemd: systemd itself reads it, and it fits what the server does. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { loadConfig, SETTINGS } from '../../src/config.ts';

const UNIT = 'deploy/systemd/rivercast.service';
const MAX_EXPOSURE = 2;

/** Every `Name=value`, by its name; one that stands there twice has both. */
const directives = new Map<string, string[]>();
for (const [, name = '', value = ''] of readFileSync(UNIT, 'utf8').matchAll(/^([A-Za-z]+)=(.*)$/gm)) {
  directives.set(name, [...(directives.get(name) ?? []), value]);
}

function analyze(...args: string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status, said: `${stdout}${stderr}` };
}

const isThere = spawnSync('systemd-analyze', ['--version']).status === 0;

describe('the systemd unit', { skip: isThere ? false : 'there is no systemd-analyze here' }, () => {
  test('is read by systemd without a complaint', () => {
    assert.deepEqual(analyze('verify', '--man=no', '--recursive-errors=no', UNIT), { status: 0, said: '' });
  });

  test('gives the process little that it could do harm with', () => {
    const { said } = analyze('security', '--offline=true', '--no-pager', UNIT);
    const exposure = Number(/Overall exposure level for \S+: ([\d.]+)/.exec(said)?.[1]);
    assert.ok(exposure <= MAX_EXPOSURE, said);
  });
});

describe('the systemd unit and the server', () => {
  test('a stop is given the time that it may take', () => {
    const { delayMs, spreadMs, timeoutMs } = loadConfig({ env: {} }).drain;
    const [seconds] = directives.get('TimeoutStopSec') ?? [];
    assert.ok(Number(seconds) * 1000 > delayMs + spreadMs + timeoutMs + 5000, `${seconds} s`);
    assert.deepEqual(directives.get('KillSignal'), ['SIGTERM']);
  });

  test('a wrong setting is not tried again, a crash is', () => {
    assert.deepEqual(directives.get('Restart'), ['on-failure']);
    assert.deepEqual(directives.get('RestartPreventExitStatus'), ['2']);
  });

  test('what it sets are settings', () => {
    const names = new Set([...SETTINGS.map(({ name }) => name), 'NODE_ENV', 'NODE_OPTIONS']);
    for (const line of directives.get('Environment') ?? []) {
      assert.ok(names.has(line.split('=')[0] ?? ''), line);
    }
  });
});
