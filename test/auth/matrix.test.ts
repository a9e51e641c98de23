/** Every kind of token at every door that asks for one: what each is answered. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { post } from '../support/posts.ts';
import { TestServer } from '../support/running-server.ts';
import { REQUIRED, SECRET, seconds, token, unsigned } from '../support/tokens.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { WebSocketClient } from '../support/websocket-client.ts';

const ALL = { publish: ['*'], subscribe: ['*'], admin: ['*'] };
const OTHER = { publish: ['other'], subscribe: ['other:*'], admin: ['other'] };

const TOKENS: Readonly<Record<string, () => Promise<string | null>>> = {
  none: async () => null,
  garbage: async () => 'garbage',
  'three dots': async () => '...',
  expired: () => token({ ...ALL, exp: seconds(-6) }),
  'not valid yet': () => token({ ...ALL, nbf: seconds(60) }),
  'of another key': () => token(ALL, { key: Buffer.from(`${SECRET}?`) }),
  'unsigned (alg: none)': async () => unsigned(ALL),
  'signed with HS512': () => token(ALL, { alg: 'HS512', key: Buffer.alloc(64, SECRET) }),
  'cut off': async () => (await token(ALL)).slice(0, -2),
  'for another audience': () => token({ ...ALL, aud: 'others' }),
  'of another issuer': () => token({ ...ALL, iss: 'https://elsewhere.example' }),
  'with channels that are no list': () => token({ ...ALL, publish: '*' }),
  'with a pattern that is none': () => token({ ...ALL, subscribe: ['*a*'] }),
  'too long': () => token({ ...ALL, more: 'x'.repeat(9000) }),
  'an unknown API key': async () => 'rck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'for another channel': () => token(OTHER),
  'without permissions': () => token({}),
  right: () => token(ALL),
};
const CODES: Readonly<Record<string, string>> = {
  expired: 'token_expired',
  'for another channel': 'forbidden',
  'without permissions': 'forbidden',
};

const MESSAGES = '/api/channels/scores/messages';

interface Door {
  readonly path: string;
  readonly method?: string;
  readonly body?: string;
  /** What the right token is answered. */
  readonly right: number;
  /** What a good token for another channel is answered, where it is not refused. */
  readonly other?: number;
}

const DOORS: Readonly<Record<string, Door>> = {
  publish: { path: MESSAGES, method: 'POST', body: 'x', right: 201 },
  history: { path: MESSAGES, right: 200 },
  channel: { path: '/api/channels/scores', right: 200 },
  channels: { path: '/api/channels', right: 200, other: 200 },
  trim: { path: `${MESSAGES}?before=-1h`, method: 'DELETE', right: 200 },
  stats: { path: '/api/stats', right: 200 },
  subscribers: { path: '/api/subscribers?order=lag', right: 200 },
  metrics: { path: '/metrics', right: 200 },
};

describe('with AUTH=required', () => {
  let server: TestServer;

  before(async () => {
    server = await TestServer.start(REQUIRED);
  });
  after(() => server.stop());

  for (const [kind, make] of Object.entries(TOKENS)) {
    const code = CODES[kind] ?? 'unauthenticated';
    const isGood = kind === 'right';

    for (const [name, door] of Object.entries(DOORS)) {
      test(`a token ${kind} at ${name}`, async () => {
        const shown = await make();
        const headers = shown === null ? {} : { Authorization: `Bearer ${shown}` };
        const { path, method = 'GET', body = '' } = door;
        const answer = await post(server, body, { method, path, headers });
        const isLet = isGood || (code === 'forbidden' && door.other !== undefined);
        assert.equal(answer.status, isLet ? door.right : statusOf(code), answer.text);
        if (isLet) return;
        assert.equal(answer.body.code, code);
        assert.equal(
          answer.headers['www-authenticate'],
          code === 'forbidden' ? undefined : 'Bearer realm="rivercast"',
        );
      });
    }

    for (const path of ['/ws/manager', '/ws/broadcast']) {
      for (const protocol of [null, 'rivercast.v1']) {
        test(`a token ${kind} at ${path}, ${protocol ?? 'raw'}`, async () => {
          const shown = await make();
          const query = `?channel=scores${shown === null ? '' : `&token=${encodeURIComponent(shown)}`}`;
          const options = protocol === null ? {} : { protocols: [protocol] };
          if (isGood) {
            await using client = await WebSocketClient.connect(server.url(`${path}${query}`), options);
            assert.ok(client.isOpen);
            return;
          }
          const refused = await WebSocketClient.refused(server.url(`${path}${query}`), options);
          assert.deepEqual([refused.status, refused.body['code']], [statusOf(code), code]);
        });
      }
    }

    test(`a token ${kind} at /sse`, async () => {
      const shown = await make();
      const query = shown === null ? '' : `&token=${encodeURIComponent(shown)}`;
      const answer = await fetch(`${server.address}/sse?channel=scores${query}`);
      assert.equal(answer.status, isGood ? 200 : statusOf(code));
      await answer.body?.cancel();
    });
  }

  test('health, readiness and the first page ask for nothing', async () => {
    for (const path of ['/healthz', '/readyz', '/']) {
      assert.equal((await fetch(`${server.address}${path}`)).status, 200, path);
    }
  });

  test('the list of channels holds those that one may subscribe to', async () => {
    const headers = { Authorization: `Bearer ${await token(ALL)}` };
    for (const channel of ['a', 'b:1', 'b:2', 'c']) {
      await post(server, 'x', { path: `/api/channels/${channel}/messages`, headers });
    }
    const mine = { Authorization: `Bearer ${await token({ subscribe: ['b:*', 'c'] })}` };
    const { body } = await get(server, '/api/channels', mine);
    assert.deepEqual(
      body.channels?.map(({ channel }) => channel),
      ['b:1', 'b:2', 'c'],
    );
  });

  test('a history is its reader’s alone', async () => {
    const query = `?after=0-0&limit=1&token=${await token(ALL)}`;
    await post(server, 'x', { path: MESSAGES, headers: { Authorization: `Bearer ${await token(ALL)}` } });
    const { headers } = await get(server, `${MESSAGES}${query}`);
    assert.match(headers.get('cache-control') ?? '', /^private/);
  });

  test('the token may come as a subprotocol, and is not echoed', async () => {
    const shown = await token(ALL);
    const url = server.url('/ws/manager?channel=scores');
    await using raw = await WebSocketClient.connect(url, {
      protocols: ['rivercast.raw', `access_token.${shown}`],
    });
    assert.equal(raw.protocol, 'rivercast.raw');
    const options = { protocols: [`access_token.${shown}`, 'rivercast.v1'] };
    await using v1 = await V1PublisherClient.openAt(url, options);
    assert.equal(v1.socket.protocol, 'rivercast.v1');
  });

  test('a browser is let in and told by the close', async () => {
    const origin = 'http://localhost:8000';
    for (const [shown, expected] of [
      ['none', 4401],
      [await token(OTHER), 4403],
    ] as const) {
      await using client = await WebSocketClient.connect(
        server.url(`/ws/broadcast?channel=scores&token=${shown}`),
        {
          origin,
        },
      );
      assert.equal((await client.closed).code, expected);
    }
  });

  test('a page may ask with a token what it may ask at all', async () => {
    const asked = await post(server, '', {
      method: 'OPTIONS',
      path: MESSAGES,
      headers: { Origin: 'http://localhost:8000' },
    });
    assert.equal(asked.status, 204);
    assert.match(`${asked.headers['access-control-allow-headers']}`, /Authorization/);
  });
});

describe('with AUTH=publish-only', () => {
  test('anybody subscribes; who publishes, removes or shows a bad token needs a good one', async () => {
    await using server = await TestServer.start({ ...REQUIRED, AUTH: 'publish-only' });
    await using subscriber = await server.subscriber('?channel=scores');
    const mine = await token({ publish: ['scores'] });
    const headers = { Authorization: `Bearer ${mine}` };
    assert.equal((await post(server, 'x', { path: MESSAGES })).status, 403);
    assert.equal((await post(server, 'x', { path: MESSAGES, headers })).status, 201);
    assert.equal((await subscriber.next()).data.toString(), 'x');
    assert.equal((await get(server, MESSAGES)).status, 200);
    assert.equal((await get(server, MESSAGES, headers)).status, 200);
    assert.equal((await get(server, `${MESSAGES}?token=bad`)).status, 401);
    assert.equal(
      (await post(server, '', { method: 'DELETE', path: `${MESSAGES}?before=-1h`, headers })).status,
      403,
    );
    assert.equal((await WebSocketClient.refused(server.url('/ws/manager?channel=scores'))).status, 403);
  });
});

function statusOf(code: string): number {
  return code === 'forbidden' ? 403 : 401;
}

async function get(
  { address }: TestServer,
  path: string,
  headers: Record<string, string> = {},
): Promise<{
  readonly status: number;
  readonly headers: Headers;
  readonly body: { readonly channels?: readonly { readonly channel: string }[] };
}> {
  const response = await fetch(`${address}${path}`, { headers });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as { channels?: { channel: string }[] },
  };
}
