/**
 * The document of AsyncAPI is true: what it says clients send is understood, what they are sent is as it says, and each
 * kind of message is met here; so is each way to show a token.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CLOSE } from '../../src/protocol/close.ts';
import { type AsyncApi, conformance, documentOf } from '../support/contract.ts';
import { EventStream } from '../support/event-stream.ts';
import { TestServer } from '../support/running-server.ts';
import { REQUIRED, token } from '../support/tokens.ts';
import { WebSocketClient } from '../support/websocket-client.ts';

const ALL = { publish: ['*'], subscribe: ['*'], admin: ['*'], sub: 'ada' };
const SETTINGS = { ...REQUIRED, HEARTBEAT_MS: '1s', IDLE_TIMEOUT_MS: '10s' };

/** A place in a history that this channel never had. */
const ELSEWHERE = '1795375550000-0@0123456789ab.7';

type Frame = Readonly<Record<string, unknown>>;

/** A server with its document, and what was seen of what that tells of. */
class Contract implements AsyncDisposable {
  readonly server: TestServer;
  readonly document: AsyncApi;
  readonly token: string;
  readonly seen: Set<string> = new Set();
  readonly #conforms: ReturnType<typeof conformance>;

  private constructor(server: TestServer, document: AsyncApi, shown: string) {
    this.server = server;
    this.document = document;
    this.token = shown;
    this.#conforms = conformance(document.components.schemas);
  }

  static async start(): Promise<Contract> {
    const server = await TestServer.start(SETTINGS);
    return new Contract(server, await documentOf(server.address, 'asyncapi'), await token(ALL));
  }

  open(channel: string, query: string): Promise<WebSocketClient> {
    const { address } = this.document.channels[channel] as AsyncApi['channels'][string];
    const protocol = channel.endsWith('V1') ? 'rivercast.v1' : 'rivercast.raw';
    return WebSocketClient.connect(this.server.url(`${address}${query}`), {
      protocols: [protocol, `access_token.${this.token}`],
    });
  }

  examples(name: string): Frame[] {
    const { examples = [] } = this.document.components.messages[name] ?? {};
    return examples.map(({ payload }) => payload as Frame);
  }

  /** It is what the document says of this message. */
  met(name: string, value: unknown): void {
    const message = this.document.components.messages[name];
    assert.ok(message, name);
    this.#conforms(message.payload, value, name);
    this.seen.add(name);
  }

  async expect(socket: WebSocketClient, name: string): Promise<Frame> {
    const frame = JSON.parse(await socket.text()) as Frame;
    this.met(name, frame);
    return frame;
  }

  /** Sends each example of what a client may send. */
  async ask(socket: WebSocketClient, name: string, answer: string): Promise<Frame[]> {
    const answers: Frame[] = [];
    for (const example of this.examples(name)) {
      const sent = name === 'auth' ? { ...example, token: this.token } : example;
      this.met(name, sent);
      socket.send(JSON.stringify(sent));
      const frame = await this.expect(socket, answer);
      assert.equal(frame['ref'], example['ref']);
      answers.push(frame);
    }
    return answers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
  }
}

async function publish(contract: Contract): Promise<void> {
  await using publisher = await contract.open('publishV1', '');
  await contract.expect(publisher, 'hello');
  const acks = await contract.ask(publisher, 'publish', 'ack');
  assert.ok(acks.every(({ duplicate }) => duplicate === false));
  await contract.ask(publisher, 'auth', 'authenticated');
  publisher.send('{"type":"publish","channel":"no channel","data":"","ref":5}');
  const refused = await contract.expect(publisher, 'publishError');
  assert.deepEqual(refused, contract.examples('publishError')[0]);
}

async function follow(contract: Contract): Promise<void> {
  await using subscriber = await contract.open('followV1', '?channel=');
  await contract.expect(subscriber, 'hello');
  await contract.ask(subscriber, 'subscribe', 'subscribed');
  const { messages } = await contract.expect(subscriber, 'messages');
  assert.equal((messages as unknown[]).length, 3);
  await contract.expect(subscriber, 'cursor');
  await contract.ask(subscriber, 'unsubscribe', 'unsubscribed');
  await contract.ask(subscriber, 'auth', 'authenticated');
  subscriber.send('{"type":"sing","ref":3}');
  assert.deepEqual(
    await contract.expect(subscriber, 'subscribeError'),
    contract.examples('subscribeError')[0],
  );
  subscriber.send(JSON.stringify({ type: 'subscribe', channel: 'scores', after: ELSEWHERE }));
  await contract.expect(subscriber, 'subscribed');
  await contract.expect(subscriber, 'gap');
}

async function publishRaw(contract: Contract): Promise<void> {
  await using publisher = await contract.open('publishRaw', '?channel=raw');
  await using subscriber = await contract.open('followRaw', '?channel=raw');
  contract.met('rawEntry', 'kick-off');
  publisher.send('kick-off');
  contract.met('rawEntry', await subscriber.text());
}

async function listen(contract: Contract): Promise<void> {
  const url = `${contract.server.address}/sse?channel=scores&token=${contract.token}`;
  await using stream = await EventStream.open(`${url}&after=${ELSEWHERE}`);
  for (const { type, data, lastEventId } of await stream.take(4)) {
    contract.met(`${type === 'message' ? 'text' : type}Event`, { event: type, id: lastEventId, data });
  }
  const place = stream.lastEventId;
  await using resumed = await EventStream.open(url, { headers: { 'Last-Event-ID': place } });
  await resumed.until('the position', () => resumed.lastEventId !== '');
  contract.met('positionEvent', { id: resumed.lastEventId });
  assert.equal(resumed.lastEventId, place);
}

describe('what goes over WebSockets and as events', () => {
  test('is what the document of AsyncAPI says, each message of it', async () => {
    await using contract = await Contract.start();
    await publish(contract);
    await follow(contract);
    await listen(contract);
    await publishRaw(contract);
    const { messages } = contract.document.components;
    assert.deepEqual([...contract.seen].toSorted(), Object.keys(messages).toSorted());
    for (const [name, { examples }] of Object.entries(messages)) {
      for (const { payload } of examples) contract.met(name, payload);
    }
  });

  test('may be asked for with a token in each way that the document names, and with none it is refused', async () => {
    await using contract = await Contract.start();
    const { server, token: shown } = contract;
    const url = server.url('/ws/broadcast');
    await using inHeader = await WebSocketClient.connect(url, {
      headers: { Authorization: `Bearer ${shown}` },
    });
    await using inQuery = await WebSocketClient.connect(`${url}?token=${shown}`);
    await using inProtocol = await WebSocketClient.connect(url, {
      protocols: ['rivercast.raw', `access_token.${shown}`],
    });
    assert.ok([inHeader, inQuery, inProtocol].every(({ isOpen }) => isOpen));
    assert.equal(inProtocol.protocol, 'rivercast.raw');
    assert.equal((await WebSocketClient.refused(url)).status, 401);
  });

  test('has each code of a close', async () => {
    await using contract = await Contract.start();
    const told = Object.values(contract.document.channels).flatMap((one) =>
      Object.entries(one['x-close-codes'] ?? {}),
    );
    const { normal: _normal, goingAway: _goingAway, ...ours } = CLOSE;
    const expected = Object.entries(ours).map(([name, code]) => `${code} ${name}`);
    assert.deepEqual(
      [...new Set(told.map(([code, name]) => `${code} ${String(name)}`))].toSorted(),
      expected.toSorted(),
    );
  });
});
