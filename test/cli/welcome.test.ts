import assert from 'node:assert/strict';
import { test } from 'node:test';
import { welcome } from '../../src/cli/welcome.ts';
import { loadConfig } from '../../src/config.ts';

test('the start message has both URLs, how to try them, and where messages are kept', () => {
  const text = welcome(loadConfig({ env: { DATA_DIR: '/var/lib/rivercast' } }), ['http://127.0.0.1:3000']);
  assert.match(text, /publish {4}ws:\/\/127\.0\.0\.1:3000\/ws\/manager\n/);
  assert.match(text, /subscribe {2}ws:\/\/127\.0\.0\.1:3000\/ws\/broadcast\n/);
  assert.match(text, /console {4}http:\/\/127\.0\.0\.1:3000\n/);
  assert.match(text, /npx wscat -c ws:\/\/127\.0\.0\.1:3000\/ws\/broadcast\n/);
  assert.match(text, /new WebSocket\('ws:\/\/127\.0\.0\.1:3000\/ws\/broadcast'\)\.onmessage/);
  assert.match(text, /kept in \/var\/lib\/rivercast\./);
});

test('a server without a console names none', () => {
  const text = welcome(loadConfig({ env: { CONSOLE: 'off' } }), ['http://127.0.0.1:3000']);
  assert.doesNotMatch(text, /console {4}/);
});

test('a role has only its own door', () => {
  const env = { REDIS_URL: 'redis://u:s3cret@h:6379' };
  const manager = welcome(loadConfig({ env: { ...env, ROLE: 'manager' } }), ['http://127.0.0.1:3000']);
  assert.match(manager, /\/ws\/manager/);
  assert.doesNotMatch(manager, /\/ws\/broadcast/);
  const broadcaster = welcome(loadConfig({ env: { ...env, ROLE: 'broadcaster' } }), [
    'http://127.0.0.1:3000',
  ]);
  assert.doesNotMatch(broadcaster, /\/ws\/manager/);
  assert.match(broadcaster, /Redis at redis:\/\/u:\*\*\*@h:6379, stream local-q/);
});

test('a wildcard address is shown as one that can be connected to', () => {
  const config = loadConfig({ env: { HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true', STORE: 'memory' } });
  assert.match(welcome(config, ['http://0.0.0.0:80']), /ws:\/\/127\.0\.0\.1:80\/ws\/manager/);
  assert.match(welcome(config, ['http://[::]:80']), /ws:\/\/\[::1\]:80\/ws\/manager/);
  assert.match(welcome(config, []), /memory only/);
});
