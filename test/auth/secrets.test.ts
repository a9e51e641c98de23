/** No credential in any line that is logged, wherever it was shown, at the most talkative level. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeApiKey } from '../../src/api-keys.ts';
import { redactText } from '../../src/config/values.ts';
import { startCli } from '../support/cli.ts';
import { handshake, RawSocket } from '../support/raw-socket.ts';
import { tempDir } from '../support/temp-dir.ts';
import { REQUIRED, SECRET, seconds, token, unsigned } from '../support/tokens.ts';
import { WebSocketClient } from '../support/websocket-client.ts';
import { within } from '../support/within.ts';

/** Loaded into a server: each request is said as it came. */
const CARELESS = `data:text/javascript,${encodeURIComponent(`
  import { subscribe } from 'node:diagnostics_channel';
  subscribe('http.server.request.start', ({ request: { url } }) => process.stderr.write(url + '\\n'));
`)}`;

test('a server at LOG_LEVEL=trace, shown tokens and keys good and bad in every place', async (t) => {
  const { shown, said } = await saidOf(t);
  assert.deepEqual(foundIn(said, [...shown, SECRET]), []);
});

test('one that logs what it is asked would be found out, by each of them', async (t) => {
  const { shown, said } = await saidOf(t, { NODE_OPTIONS: `--import=${CARELESS}` });
  assert.deepEqual(foundIn(said, shown), shown);
});

/** What a server says, asked in every way with each of some credentials. */
async function saidOf(
  t: TestContext,
  more: Readonly<Record<string, string>> = {},
): Promise<{ readonly shown: readonly string[]; readonly said: string }> {
  const { key, item } = makeApiKey({ name: 'a', publish: ['*'], subscribe: ['*'], admin: ['*'] });
  const file = join(await tempDir(t), 'keys.json');
  writeFileSync(file, JSON.stringify([item]));
  const env = {
    ...REQUIRED,
    API_KEYS_FILE: file,
    PORT: '0',
    STORE: 'memory',
    LOG_LEVEL: 'trace',
    DRAIN_TIMEOUT_MS: '2s',
    ...more,
  };
  const cli = startCli(t, { env });
  const line = await within('the start', cli.line('started'));
  const address = (line['addresses'] as string[])[0] as string;

  const all = { publish: ['*'], subscribe: ['*'], admin: ['*'] };
  const shown = [
    await token(all),
    await token({ ...all, exp: seconds(-60) }),
    await token(all, { key: Buffer.alloc(32, 'k') }),
    await token({ publish: 7 }),
    unsigned(all),
    key,
    'rck_madeupmadeupmadeupmadeupmadeupmadeupmadeup0',
  ];
  for (const secret of shown) await showEverywhere(address, secret);
  cli.child.kill('SIGTERM');
  const { code, stderr, stdout } = await within('the end', cli.exit);
  assert.equal(code, 0, stderr);
  return { shown, said: stderr + stdout };
}

/** Which of them are in the text: whole, or the part that makes one what it is. */
function foundIn(said: string, secrets: readonly string[]): string[] {
  return secrets.filter((secret) => said.includes(secret.split('.').at(-1)?.slice(-20) || secret));
}

async function showEverywhere(address: string, secret: string): Promise<void> {
  const query = `token=${encodeURIComponent(secret)}`;
  const headers = { Authorization: `Bearer ${secret}` };
  for (const path of [
    '/api/channels',
    '/api/channels/c/messages',
    '/api/nothing',
    '/nothing',
    '/sse?channel=!',
    '/readyz',
  ]) {
    const mark = path.includes('?') ? '&' : '?';
    for (const options of [{}, { headers }, { method: 'POST', headers }, { method: 'DELETE', headers }]) {
      const answer = await fetch(`${address}${path}${mark}${query}`, options);
      const text = await answer.text();
      assert.ok(!text.includes(secret), `${path} answers with what it was shown`);
    }
  }
  for (const path of ['/ws/manager', '/ws/broadcast', '/ws/nowhere', '/ws/broadcast?after=wrong']) {
    const mark = path.includes('?') ? '&' : '?';
    for (const protocols of [[], [`access_token.${secret}`], ['unknown', `access_token.${secret}`]]) {
      const url = `${address.replace('http', 'ws')}${path}${mark}${query}`;
      await WebSocketClient.connect(url, { protocols, headers }).then(
        (client) => client[Symbol.asyncDispose](),
        () => undefined,
      );
    }
  }
  for (const bytes of [handshake(`/ws/manager?${query}`).slice(0, -8), `GET /?${query} HTTP/9.9\r\n\r\n`]) {
    await using raw = await RawSocket.connect(address);
    raw.write(bytes);
    raw.reset();
  }
}

test('what looks like a credential is masked in any text', async () => {
  const shown = await token({});
  assert.equal(redactText(`Bearer ${shown}, again`), 'Bearer ***, again');
  assert.equal(redactText(`access_token.${shown}`), 'access_token.***');
  assert.equal(redactText(`"${unsigned({})}"`), '"***"');
  assert.equal(redactText('with rck_abc-DEF_012.'), 'with ***.');
  assert.equal(redactText('eyJ is no token, nor is a.b.c'), 'eyJ is no token, nor is a.b.c');
});
