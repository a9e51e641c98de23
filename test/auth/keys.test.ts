/** Which keys may sign: several secrets, public keys of each kind, a key set by its address. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { Access } from '../../src/http/auth/access.ts';
import { createLogger } from '../../src/logger.ts';
import { ManualClock } from '../support/clock.ts';
import { tempDir } from '../support/temp-dir.ts';
import { AUDIENCE, ISSUER, SECRET, type TokenOptions, token } from '../support/tokens.ts';
import { until } from '../support/within.ts';

const NO_QUERY = new URLSearchParams();

interface Gate {
  readonly clock: ManualClock;
  readonly said: string[];
  /** What a token is answered: `ok`, or the code of its refusal. */
  readonly shows: (options?: TokenOptions) => Promise<string>;
  /** The same for a token that was made before. */
  readonly check: (shown: string) => Promise<string>;
}

async function gate(t: TestContext, env: Record<string, string>): Promise<Gate> {
  const clock = new ManualClock();
  const said: string[] = [];
  clock.advance(Date.now() - clock.now());
  const logger = createLogger({ level: 'info', stream: { write: (line: string) => void said.push(line) } });
  const config = loadConfig({
    env: { AUTH_AUDIENCE: `other, ${AUDIENCE}`, AUTH_ISSUER: ISSUER, ...env },
  }).auth;
  const access = await Access.open({ config, clock, logger });
  t.after(() => access.close());
  const check = (shown: string): Promise<string> =>
    access.grantOf({ authorization: `Bearer ${shown}` }, NO_QUERY).then(
      () => 'ok',
      (error: { readonly code?: string }) => error.code ?? 'no code',
    );
  const shows = async (options?: TokenOptions): Promise<string> =>
    check(await token({ publish: ['*'], exp: clock.now() / 1000 + 3600 }, options));
  return { clock, said, shows, check };
}

test('of several secrets any that has no name, and one that has only under its own', async (t) => {
  const [b, c] = ['b'.repeat(32), 'c'.repeat(32)];
  const { shows } = await gate(t, { AUTH_HS256_SECRET: `${SECRET},next:${b}` });
  assert.equal(await shows(), 'ok');
  assert.equal(await shows({ kid: 'unknown' }), 'ok');
  assert.equal(await shows({ kid: 'next', key: Buffer.from(b) }), 'ok');
  assert.equal(await shows({ key: Buffer.from(b) }), 'ok');
  assert.equal(await shows({ kid: 'next' }), 'unauthenticated');
  assert.equal(await shows({ kid: 'other', key: Buffer.from(b) }), 'unauthenticated');
  assert.equal(await shows({ kid: 'next', key: Buffer.from(c) }), 'unauthenticated');
  assert.equal(await shows({ key: Buffer.from(c) }), 'unauthenticated');
});

describe('public keys', () => {
  const pairs = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    EdDSA: generateKeyPairSync('ed25519'),
  };
  const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();

  test('of every kind, and only theirs', async (t) => {
    const file = join(await tempDir(t), 'keys.pem');
    writeFileSync(
      file,
      Object.values(pairs)
        .map(({ publicKey }) => pem(publicKey))
        .join('\n'),
    );
    const { shows } = await gate(t, { AUTH_PUBLIC_KEY: file });
    for (const [alg, { privateKey }] of Object.entries(pairs)) {
      assert.equal(await shows({ alg, key: privateKey }), 'ok', alg);
    }
    assert.equal(await shows({ alg: 'PS384', key: pairs.RS256.privateKey }), 'ok');
    const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    assert.equal(await shows({ alg: 'ES256', key: foreign }), 'unauthenticated');
    // What everybody can know of a server must not be a secret to it.
    const known = Buffer.from(pem(pairs.RS256.publicKey));
    assert.equal(await shows({ alg: 'HS256', key: known }), 'unauthenticated');
  });

  test('a file that is none stops the start, and says what it holds', async (t) => {
    const dir = await tempDir(t);
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    const cases: readonly (readonly [string | null, RegExp])[] = [
      [null, /ENOENT/],
      ['', /no key in PEM form/],
      ['-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----', /no public key/],
      [pairs.ES256.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), /private key/],
      [pem(weak), /signs no tokens/],
      [pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), /signs no tokens/],
    ];
    for (const [at, [text, message]] of cases.entries()) {
      const file = join(dir, `${at}.pem`);
      if (text !== null) writeFileSync(file, text);
      await assert.rejects(gate(t, { AUTH_PUBLIC_KEY: file }), { message, exitCode: 2 });
    }
  });
});

/** An identity provider: its key set at an address, and how often it was asked. */
class Provider {
  keys: object[] = [];
  status = 200;
  asked = 0;
  readonly #server: Server;

  constructor(t: TestContext) {
    this.#server = createServer((_request, response) => {
      this.asked += 1;
      response.writeHead(this.status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ keys: this.keys }));
    });
    t.after(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/jwks.json`;
  }

  add(kid: string): TokenOptions {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.keys.push({ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' });
    return { kid, alg: 'ES256', key: privateKey };
  }
}

describe('a key set by its address', () => {
  test('is fetched once, anew after 10 minutes, and for a key that it did not have', async (t) => {
    const provider = new Provider(t);
    const one = provider.add('one');
    const { clock, shows, check } = await gate(t, { AUTH_JWKS_URL: await provider.listen() });
    assert.equal(provider.asked, 0);
    assert.deepEqual(await Promise.all([shows(one), shows(one), shows(one)]), ['ok', 'ok', 'ok']);
    assert.equal(provider.asked, 1);

    const shown = await token({ publish: ['*'] }, one);
    assert.equal(await check(shown), 'ok');
    const two = provider.add('two');
    assert.equal(await shows(two), 'unauthenticated', 'asked a moment ago');
    clock.advance(31_000);
    assert.equal(await shows(two), 'ok');
    assert.equal(provider.asked, 2);
    // Whoever makes up names must not have the provider asked for each.
    for (let i = 0; i < 5; i++) assert.equal(await shows({ ...one, kid: `made-up-${i}` }), 'unauthenticated');
    assert.equal(provider.asked, 2);

    provider.keys = provider.keys.slice(1);
    clock.advance(11 * 60_000);
    await until('it is fetched beside', async () => (await shows(one)) === 'unauthenticated');
    assert.equal(await check(shown), 'unauthenticated', 'though it was good a moment ago');
    assert.equal(provider.asked, 3);
    assert.equal(await shows(two), 'ok');
  });

  test('that does not answer costs known tokens nothing, is asked with back-off, and told of once', async (t) => {
    const provider = new Provider(t);
    const one = provider.add('one');
    const { clock, said, shows } = await gate(t, { AUTH_JWKS_URL: await provider.listen() });
    assert.equal(await shows(one), 'ok');
    provider.status = 500;
    clock.advance(11 * 60_000);
    for (let i = 0; i < 10; i++) assert.equal(await shows(one), 'ok');
    await until('it was asked', () => said.length > 0);
    assert.equal(provider.asked, 2);
    for (let i = 0; i < 20; i++) {
      clock.advance(30_000);
      assert.equal(await shows(one), 'ok');
    }
    assert.ok(provider.asked < 20, `${provider.asked} times in ten minutes`);
    assert.equal(said.length, 1, said.join(''));
    clock.advance(24 * 3600_000);
    assert.equal(await shows(one), 'auth_unavailable');
    provider.status = 200;
    clock.advance(61_000);
    assert.equal(await shows(one), 'ok');
    assert.match(said.at(-1) ?? '', /can be had again/);
  });

  test('with keys that can not be used: nobody has signed with those, and others are good', async (t) => {
    const provider = new Provider(t);
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const good = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const jwk = (key: KeyObject): object => key.export({ format: 'jwk' });
    provider.keys = [
      { ...jwk(weak.publicKey), kid: 'weak' },
      { kty: 'RSA', kid: 'broken', n: '!!', e: 'AQAB' },
      { kty: 'EC', crv: 'P-256', kid: 'no point', x: 'AA', y: 'AA' },
      { ...jwk(good.publicKey), kid: 'good' },
    ];
    const { check, shows } = await gate(t, { AUTH_JWKS_URL: await provider.listen() });
    assert.equal(
      await shows({ alg: 'RS256', key: good.privateKey }),
      'ok',
      'found among them without its name',
    );
    const [, claims, signature] = (
      await token({ publish: ['*'] }, { alg: 'RS256', key: good.privateKey })
    ).split('.');
    for (const header of [
      { alg: 'RS256', kid: 'weak' },
      { alg: 'RS256', kid: 'broken' },
      { alg: 'ES256', kid: 'no point' },
    ]) {
      const head = Buffer.from(JSON.stringify(header)).toString('base64url');
      assert.equal(await check(`${head}.${claims}.${signature}`), 'unauthenticated', header.kid);
    }
  });

  test('that never answered: tokens can not be checked, others can', async (t) => {
    const { shows } = await gate(t, { AUTH_JWKS_URL: 'http://127.0.0.1:1/', AUTH_HS256_SECRET: SECRET });
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    assert.equal(await shows({ alg: 'ES256', key: privateKey }), 'auth_unavailable');
    assert.equal(await shows(), 'ok');
  });
});
