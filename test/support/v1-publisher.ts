/** A publisher of `rivercast.v1`: sends frames, and hands out what comes one frame at a time. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { TestServer } from './running-server.ts';
import type { V1Frame } from './v1-client.ts';
import { type ClientOptions, WebSocketClient } from './websocket-client.ts';

const LOAD_EVERY_MS = 10;

export class V1PublisherClient implements AsyncDisposable {
  readonly socket: WebSocketClient;

  private constructor(socket: WebSocketClient) {
    this.socket = socket;
  }

  /** Connects, and takes the hello. */
  static open(server: TestServer, query = '', options: ClientOptions = {}): Promise<V1PublisherClient> {
    return V1PublisherClient.openAt(server.url(`/ws/manager${query}`), options);
  }

  static async openAt(url: string, options: ClientOptions = {}): Promise<V1PublisherClient> {
    const socket = await WebSocketClient.connect(url, { protocols: ['rivercast.v1'], ...options });
    const client = new V1PublisherClient(socket);
    await client.expect('hello');
    return client;
  }

  /** An object goes as its JSON, a string or Buffer as it is. */
  send(frame: object | string): void {
    const isRaw = typeof frame === 'string' || Buffer.isBuffer(frame);
    this.socket.send(isRaw ? frame : JSON.stringify(frame));
  }

  publish(data: unknown, members: object = {}): void {
    this.send({ type: 'publish', data, ...members });
  }

  async next(): Promise<V1Frame> {
    return (await this.take(1))[0] as V1Frame;
  }

  async take(count: number, waitMs?: number): Promise<V1Frame[]> {
    const messages = await this.socket.take(count, waitMs);
    return messages.map(({ type, data }) => {
      assert.equal(type, 'text');
      return JSON.parse(data.toString()) as V1Frame;
    });
  }

  /** The next frame, which is of this type. */
  async expect(type: string): Promise<V1Frame> {
    const frame = await this.next();
    assert.equal(frame['type'], type, JSON.stringify(frame).slice(0, 300));
    return frame;
  }

  /** Publishes numbers to a channel, so many a second by the clock, until the test is over, or what is returned is called. */
  publishSteadily(t: TestContext, channel: string, perSecond: number): () => void {
    const began = performance.now();
    let sent = 0;
    const load = setInterval(() => {
      for (; sent < ((performance.now() - began) / 1000) * perSecond; sent += 1) {
        this.publish(sent, { channel, ref: sent });
      }
    }, LOAD_EVERY_MS);
    const stop = (): void => clearInterval(load);
    t.after(stop);
    return stop;
  }

  /** The id under which it was stored. */
  async published(data: unknown, members: object = {}): Promise<string> {
    this.publish(data, members);
    return (await this.expect('ack'))['id'] as string;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.socket[Symbol.asyncDispose]();
  }
}
