import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { SETTINGS } from '../../src/config.ts';
import { VERSION } from '../../src/version.ts';
import { MAIN, runCli } from '../support/cli.ts';
import { tempDir } from '../support/temp-dir.ts';

test('--version prints the version alone', async (t) => {
  assert.match(VERSION, /^\d+\.\d+\.\d+/);
  assert.deepEqual(await runCli(t, { args: ['--version'] }), { code: 0, stdout: `${VERSION}\n`, stderr: '' });
});

test('it is started by its path, which is how npx finds it in a checkout', async () => {
  const { stdout } = await promisify(execFile)(MAIN, ['--version']);
  assert.equal(stdout, `${VERSION}\n`);
});

test('--help shows examples, and serve --help every setting', async (t) => {
  const help = await runCli(t, { args: ['--help'] });
  assert.equal(help.code, 0);
  assert.match(help.stdout, /Usage: rivercast.*Examples:.*REDIS_URL=/s);

  const serve = await runCli(t, { args: ['serve', '--help'] });
  assert.equal(serve.code, 0);
  for (const { name, flag } of SETTINGS) {
    assert.ok(serve.stdout.includes(flag), flag);
    assert.match(serve.stdout, new RegExp(`env\\s+${name}\\b`), name);
  }
});

test('an unknown flag is one line and exit code 2', async (t) => {
  const result = await runCli(t, { args: ['--prot', '3000'] });
  assert.deepEqual(result, {
    code: 2,
    stdout: '',
    stderr: "rivercast: unknown option '--prot' (Did you mean --port?)\n",
  });
});

test('an unknown command is one line and exit code 2', async (t) => {
  const result = await runCli(t, { args: ['srve'] });
  assert.equal(result.code, 2);
  assert.equal(result.stderr, 'rivercast: there is no command "srve". Did you mean rivercast serve?\n');
});

test('a flag without its value is one line and exit code 2', async (t) => {
  const result = await runCli(t, { args: ['--port'] });
  assert.equal(result.code, 2);
  assert.match(result.stderr, /^rivercast: .*--port.*\n$/);
});

test('bad values: a line each, exit code 2, no stack', async (t) => {
  const result = await runCli(t, { args: ['--port', '70000'], env: { ROLE: 'boss' } });
  assert.equal(result.code, 2);
  assert.match(
    result.stderr,
    /^rivercast: ROLE="boss" is not allowed\. .*\nrivercast: --port "70000" is not allowed\. .*\n$/,
  );
});

test('a public host is refused without ALLOW_ANONYMOUS', async (t) => {
  const result = await runCli(t, { env: { HOST: '0.0.0.0' } });
  assert.equal(result.code, 2);
  assert.match(result.stderr, /^rivercast: HOST="0\.0\.0\.0".*ALLOW_ANONYMOUS=true/);
});

test('a secret is not printed, in whatever way it is given wrongly', async (t) => {
  const url = 'redis://user:s3cret@127.0.0.1:1';
  const wrong = [
    ['--redis-url', `${url}/x`],
    [`--redis_url=${url}`],
    [url],
    ['--redis-url', 's3cret'],
    ['--redis-url', url, '--store', 'memory'],
  ];
  const results = await Promise.all([
    ...wrong.map((args) => runCli(t, { args })),
    runCli(t, { env: { REDIS_URL: `${url}/x` } }),
  ]);
  for (const { code, stdout, stderr } of results) {
    assert.equal(code, 2);
    assert.doesNotMatch(stdout + stderr, /s3cret/);
  }
});

test('it runs through a link, from any folder', async (t) => {
  const cwd = await tempDir(t);
  await symlink(MAIN, join(cwd, 'rivercast'));
  const result = await runCli(t, { main: './rivercast', args: ['-V'], cwd });
  assert.deepEqual(result, { code: 0, stdout: `${VERSION}\n`, stderr: '' });
});
