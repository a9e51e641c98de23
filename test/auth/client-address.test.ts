import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { ClientAddresses } from '../../src/http/auth/client-address.ts';

function request(remoteAddress: string | undefined, forwarded?: string): IncomingMessage {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return { socket: { remoteAddress }, headers } as unknown as IncomingMessage;
}

const CASES: readonly (readonly [
  proxies: string,
  remote: string | undefined,
  forwarded: string | undefined,
  is: string,
])[] = [
  ['', '203.0.113.1', undefined, '203.0.113.1'],
  ['', '::ffff:203.0.113.1', undefined, '203.0.113.1'],
  ['', undefined, undefined, ''],
  ['', '127.0.0.1', '198.51.100.7', '127.0.0.1'],
  ['loopback', '127.0.0.1', '198.51.100.7', '198.51.100.7'],
  ['loopback', '::1', '198.51.100.7', '198.51.100.7'],
  ['loopback', '::ffff:127.0.0.1', '198.51.100.7', '198.51.100.7'],
  ['loopback', '203.0.113.1', '198.51.100.7', '203.0.113.1'],
  // What stands before the last that is not ours the client may have made up.
  ['loopback', '127.0.0.1', '1.2.3.4, 198.51.100.7', '198.51.100.7'],
  ['loopback, 10.0.0.0/8', '127.0.0.1', '1.2.3.4, 198.51.100.7, 10.1.2.3', '198.51.100.7'],
  ['10.0.0.0/8', '10.9.9.9', '10.1.1.1,10.2.2.2', '10.1.1.1'],
  ['fd00::/8', 'fd12::1', '2001:db8::7', '2001:db8::7'],
  ['loopback', '127.0.0.1', '198.51.100.7:4711', '198.51.100.7'],
  ['loopback', '127.0.0.1', '[2001:db8::7]:4711', '2001:db8::7'],
  ['loopback', '127.0.0.1', '::ffff:198.51.100.7', '198.51.100.7'],
  ['loopback', '127.0.0.1', 'unknown', '127.0.0.1'],
  ['loopback', '127.0.0.1', '198.51.100.7, not an address', '127.0.0.1'],
  ['loopback', '127.0.0.1', '', '127.0.0.1'],
];

for (const [proxies, remote, forwarded, expected] of CASES) {
  test(`TRUST_PROXY=${proxies}: ${remote} and ${forwarded} is ${expected}`, () => {
    const { http } = loadConfig({ env: { TRUST_PROXY: proxies } });
    assert.equal(new ClientAddresses(http.trustProxy).of(request(remote, forwarded)), expected);
  });
}

test('what is no address, and no range of them, is no setting', () => {
  for (const text of ['localhost', '10.0.0.0/33', '10.0.0.0/8/8', '::/129', '10.0.0', '1.2.3.4/', '*']) {
    assert.throws(() => loadConfig({ env: { TRUST_PROXY: text } }), /TRUST_PROXY/, text);
  }
});
