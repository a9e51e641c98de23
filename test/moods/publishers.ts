/**
 * Publishers that number what they publish, one message after the other, until they are stopped. A raw one is told
 * nothing and sends on; those that are answered try again with the same key until it is stored, as a client should.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { post } from '../support/posts.ts';
import { V1PublisherClient } from '../support/v1-publisher.ts';
import { WebSocketClient } from '../support/websocket-client.ts';

const PATH = '/api/channels/local-q/messages';

export interface Pace {
  /** Between one message and the next. */
  readonly pauseMs: number;
  /** After an error. */
  readonly retryMs: number;
}

export interface PublisherOptions {
  /** What its messages begin with. */
  readonly name?: string;
  readonly pace?: Pace;
}

/** Tries again sooner than it is told, so that a test sees when it could. */
const BRISK: Pace = { pauseMs: 8, retryMs: 60 };

export interface Numbered {
  readonly name: string;
  /** How many were published so far, and are stored where that is told. */
  readonly count: number;
  /** The codes of the errors it was told. */
  readonly refusals: ReadonlySet<string>;
  /** The longest that one answer took. */
  readonly slowestMs: number;
  readonly isStopped: boolean;
  /** May be called again. Resolves when it has stopped, and its last one is stored where that is told. */
  stop(): Promise<void>;
}

export interface Server {
  readonly address: string;
  url(path: string): string;
}

type Answer = { readonly stored: true } | { readonly code: string };

class Loop implements Numbered {
  readonly name: string;
  readonly refusals = new Set<string>();
  count = 0;
  slowestMs = 0;
  readonly #running: Promise<void>;
  readonly #leave: () => Promise<void>;
  readonly #pace: Pace;
  #stopping: Promise<void> | null = null;

  constructor(
    name: string,
    publish: (text: string, key: string) => Promise<Answer>,
    leave: () => Promise<void>,
    pace: Pace,
  ) {
    this.name = name;
    this.#pace = pace;
    this.#leave = leave;
    this.#running = this.#run(publish);
    this.#running.catch(() => undefined);
  }

  get isStopped(): boolean {
    return this.#stopping !== null;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#running.then(this.#leave);
    return this.#stopping;
  }

  async #run(publish: (text: string, key: string) => Promise<Answer>): Promise<void> {
    while (this.#stopping === null) {
      const text = `${this.name} ${this.count}`;
      while (!(await this.#once(publish, text))) await delay(this.#pace.retryMs);
      this.count += 1;
      await delay(this.#pace.pauseMs);
    }
  }

  async #once(publish: (text: string, key: string) => Promise<Answer>, text: string): Promise<boolean> {
    const askedMs = performance.now();
    const answer = await publish(text, `key of ${text}`);
    this.slowestMs = Math.max(this.slowestMs, performance.now() - askedMs);
    if ('stored' in answer) return true;
    this.refusals.add(answer.code);
    return false;
  }
}

export async function rawPublisher(
  server: Server,
  { name = 'raw', pace = BRISK }: PublisherOptions = {},
): Promise<Numbered> {
  const socket = await WebSocketClient.connect(server.url('/ws/manager'));
  const publish = async (text: string): Promise<Answer> => {
    assert.ok(socket.isOpen, 'the raw publisher was closed');
    socket.send(text);
    return { stored: true };
  };
  return new Loop(
    name,
    publish,
    async () => {
      assert.equal(socket.receivedCount, 0);
      // What it sent is stored although it leaves at once.
      await socket.close();
    },
    pace,
  );
}

export async function v1Publisher(
  server: Server,
  { name = 'v1', pace = BRISK }: PublisherOptions = {},
): Promise<Numbered> {
  const client = await V1PublisherClient.openAt(server.url('/ws/manager'));
  const publish = async (text: string, key: string): Promise<Answer> => {
    client.publish(text, { ref: text, key });
    const answer = await client.next();
    assert.equal(answer['ref'], text, JSON.stringify(answer));
    if (answer['type'] === 'ack') return { stored: true };
    assert.deepEqual([answer['type'], answer['retry']], ['error', true], JSON.stringify(answer));
    return { code: String(answer['code']) };
  };
  return new Loop(name, publish, () => client[Symbol.asyncDispose](), pace);
}

export async function httpPublisher(
  server: Server,
  { name = 'http', pace = BRISK }: PublisherOptions = {},
): Promise<Numbered> {
  const publish = async (text: string, key: string): Promise<Answer> => {
    const { status, headers, body } = await post(server, text, {
      path: PATH,
      headers: { 'idempotency-key': key },
    });
    if (status === 201) return { stored: true };
    assert.equal(status, 503, JSON.stringify(body));
    assert.match(String(headers['retry-after']), /^[1-9]/);
    return { code: String(body.code) };
  };
  return new Loop(name, publish, async () => undefined, pace);
}
