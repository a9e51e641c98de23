import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { find, parseApiKeys } from '../../src/api-keys.ts';
import { runCli } from '../support/cli.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { SECRET } from '../support/tokens.ts';

const env = { AUTH_HS256_SECRET: `one:${SECRET},${'x'.repeat(32)}` };

describe('rivercast token', () => {
  test('by the first secret, for everything, for an hour', async (t) => {
    const { code, stdout, stderr } = await runCli(t, { args: ['token'], env });
    assert.deepEqual([code, stderr], [0, '']);
    const { payload } = await jwtVerify(stdout.trim(), Buffer.from(SECRET));
    assert.deepEqual([payload['publish'], payload['subscribe'], payload['admin']], [['*'], ['*'], undefined]);
    assert.ok(Math.abs((payload.exp ?? 0) - Date.now() / 1000 - 3600) < 60);
    assert.deepEqual(decodeProtectedHeader(stdout.trim()), { alg: 'HS256', kid: 'one' });
  });

  test('for what it is told', async (t) => {
    const args = [
      'token',
      '--subject',
      'ann',
      '--subscribe',
      'scores:*',
      'chat',
      '--publish',
      'a,b',
      '--expires',
      '15m',
    ];
    const settings = { ...env, AUTH_AUDIENCE: 'river,other', AUTH_ISSUER: 'me' };
    const { stdout } = await runCli(t, { args, env: settings });
    const { iat = 0, exp = 0, ...claims } = decodeJwt(stdout.trim());
    assert.equal(exp - iat, 900);
    assert.deepEqual(claims, {
      sub: 'ann',
      aud: 'river',
      iss: 'me',
      publish: ['a', 'b'],
      subscribe: ['scores:*', 'chat'],
    });
  });

  test('what is wrong is one line and exit code 2', async (t) => {
    const wrong: readonly (readonly [string[], Record<string, string>, RegExp])[] = [
      [[], {}, /no secret to sign with/],
      [[], { AUTH_HS256_SECRET: 'short' }, /can be guessed/],
      [['--expires', 'soon'], env, /--expires takes a time/],
      [['--publish', 'a b'], env, /--publish takes channels/],
    ];
    for (const [args, settings, message] of wrong) {
      const { code, stdout, stderr } = await runCli(t, { args: ['token', ...args], env: settings });
      assert.deepEqual([code, stdout, stderr.split('\n').length], [2, '', 2], stderr);
      assert.match(stderr, message);
    }
  });
});

describe('rivercast api-key', () => {
  test('is shown once, and kept as a hash that a server takes', async (t) => {
    const file = join(await tempDir(t), 'keys.json');
    const made = await runCli(t, {
      args: ['api-key', 'backend', '--admin', '*', '--file', file, '--expires', '1h'],
    });
    assert.equal(made.code, 0, made.stderr);
    const key = made.stdout.trim();
    assert.match(key, /^rck_[A-Za-z0-9_-]{43}$/);
    const second = await runCli(t, {
      args: ['api-key', 'other', '--publish', 'c*'],
      env: { API_KEYS_FILE: file },
    });
    const text = await readFile(file, 'utf8');
    assert.ok(!text.includes(key) && !made.stderr.includes(key));
    assert.equal((await stat(file)).mode & 0o077, 0);
    const keys = parseApiKeys(text);
    assert.deepEqual(find(keys, key)?.admin.patterns, ['*']);
    assert.deepEqual(find(keys, second.stdout.trim())?.publish.patterns, ['c*']);
    assert.equal(find(keys, `${key.slice(0, -1)}_`), null);

    await using server = await TestServer.start({ API_KEYS_FILE: file });
    const args = ['trim', 'c', '--before', '-1h', '--url', server.address];
    assert.equal((await runCli(t, { args })).code, 1);
    const trimmed = await runCli(t, { args, env: { RIVERCAST_TOKEN: key } });
    assert.deepEqual([trimmed.code, trimmed.stderr], [0, '']);
  });

  test('what is wrong is one line, and changes no file', async (t) => {
    const file = join(await tempDir(t), 'keys.json');
    await writeFile(file, 'no keys');
    const wrong: readonly (readonly [string[], number, RegExp])[] = [
      [['api-key', 'a'], 2, /say what the key is for/],
      [['api-key', 'a b', '--publish', '*'], 2, /name must be/],
      [['api-key', 'a', '--publish', '*', '--file', file], 1, /can not be read/],
    ];
    for (const [args, code, message] of wrong) {
      const result = await runCli(t, { args });
      assert.deepEqual([result.code, result.stdout], [code, ''], result.stderr);
      assert.match(result.stderr, message);
    }
    assert.equal(await readFile(file, 'utf8'), 'no keys');
  });

  test('a file that is none is refused, and says where', () => {
    const hash = `sha256:${'0'.repeat(64)}`;
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      [{}, /a list/],
      [[7], /number 1: must be an object/],
      [[{ name: 'a', hash: 'x' }], /hash must be/],
      [[{ name: '', hash }], /name must be/],
      [[{ name: 'a', hash, publish: '*' }], /publish must be a list/],
      [[{ name: 'a', hash, expires: 'soon' }], /expires must be/],
      [[{ name: 'a', hash, read: [] }], /"read" is not a member/],
      [
        [
          { name: 'a', hash },
          { name: 'a', hash },
        ],
        /two keys the same/,
      ],
    ];
    for (const [items, message] of wrong) assert.throws(() => parseApiKeys(JSON.stringify(items)), message);
    assert.deepEqual(parseApiKeys('[]'), []);
  });
});
