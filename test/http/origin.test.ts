/** Which web pages may connect, as a table. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isOriginAllowed } from '../../src/http/auth/origin.ts';

type Row = readonly [origin: string | undefined, host: string | undefined, allowed: boolean];

const WITHOUT_LIST: readonly Row[] = [
  [undefined, 'example.com', true],
  ['http://example.com', 'example.com', true],
  ['https://example.com', 'example.com', true],
  ['http://example.com:8080', 'example.com:8080', true],
  ['http://example.com', 'EXAMPLE.com', true],
  ['http://EXAMPLE.com', 'example.com', true],
  ['http://example.com:8080', 'example.com', false],
  ['http://evil.io', 'example.com', false],
  ['http://evil.io', undefined, false],
  ['https://example.com.evil.io', 'example.com', false],
  ['https://evilexample.com', 'example.com', false],
  ['http://localhost:5173', '127.0.0.1:3000', true],
  ['http://app.localhost', '127.0.0.1:3000', true],
  ['http://127.0.0.1', '127.0.0.1:3000', true],
  ['http://127.8.9.1:99', '127.0.0.1:3000', true],
  ['http://[::1]:5173', '127.0.0.1:3000', true],
  ['http://localhost.evil.io', '127.0.0.1:3000', false],
  ['http://127.0.0.1.evil.io', '127.0.0.1:3000', false],
  ['http://evil.io/127.0.0.1', '127.0.0.1:3000', false],
  ['http://localhost@evil.io', '127.0.0.1:3000', false],
  ['null', '127.0.0.1:3000', false],
  ['', '127.0.0.1:3000', false],
  ['file://', '127.0.0.1:3000', false],
  ['http://', '127.0.0.1:3000', false],
  ['http://exa mple.com', 'example.com', false],
  ['http://example.com, http://evil.io', 'example.com', false],
  ['chrome-extension://abcdef', 'abcdef', false],
];

const LIST: readonly string[] = ['https://app.example.com', 'https://*.example.org', 'http://intern:8080'];
const WITH_LIST: readonly Row[] = [
  [undefined, 'x', true],
  ['https://app.example.com', 'x', true],
  ['https://app.example.com:443', 'x', true],
  ['https://APP.example.com', 'x', true],
  ['http://app.example.com', 'x', false],
  ['https://app.example.com:8443', 'x', false],
  ['https://sub.app.example.com', 'x', false],
  ['https://app.example.com.evil.io', 'x', false],
  ['https://a.example.org', 'x', true],
  ['https://a.b.example.org', 'x', true],
  ['https://example.org', 'x', false],
  ['https://evilexample.org', 'x', false],
  ['http://a.example.org', 'x', false],
  ['http://intern:8080', 'x', true],
  ['http://intern', 'x', false],
  ['http://x', 'x', false],
  ['http://localhost', 'x', false],
  ['null', 'x', false],
];

describe('without a list: the same origin, and pages on loopback', () => {
  for (const [origin, host, allowed] of WITHOUT_LIST) {
    test(`${origin} at ${host} ${allowed ? 'may' : 'may not'} connect`, () => {
      assert.equal(isOriginAllowed(origin, host, { allowedOrigins: [], isReachedByAnyName: true }), allowed);
    });
  }
});

describe('with a list: only what is on it', () => {
  for (const [origin, host, allowed] of WITH_LIST) {
    test(`${origin} ${allowed ? 'may' : 'may not'} connect`, () => {
      assert.equal(
        isOriginAllowed(origin, host, { allowedOrigins: LIST, isReachedByAnyName: false }),
        allowed,
      );
    });
  }
});

test('a star allows every page, but not what is no origin', () => {
  assert.equal(
    isOriginAllowed('https://evil.io', 'x', { allowedOrigins: ['*'], isReachedByAnyName: false }),
    true,
  );
  assert.equal(isOriginAllowed('null', 'x', { allowedOrigins: ['*'], isReachedByAnyName: false }), false);
});

test('on a server meant for one machine a name in Host proves nothing: it may have been made to resolve here', () => {
  const policy = { allowedOrigins: [], isReachedByAnyName: false };
  assert.equal(isOriginAllowed('http://evil.io:3000', 'evil.io:3000', policy), false);
  assert.equal(isOriginAllowed('http://192.168.1.5:3000', '192.168.1.5:3000', policy), true);
  assert.equal(isOriginAllowed('http://localhost:3000', 'localhost:3000', policy), true);
  assert.equal(isOriginAllowed('http://[::1]:3000', '[::1]:3000', policy), true);
});
