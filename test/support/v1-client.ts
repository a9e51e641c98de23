/** A client of `rivercast.v1`: sends frames, and hands out what comes one frame at a time. */
import assert from 'node:assert/strict';
import type { TestServer } from './running-server.ts';
import { type ClientOptions, type Closed, WebSocketClient } from './websocket-client.ts';

/** A frame as it was parsed; members are looked at as the test expects them. */
export type V1Frame = Readonly<Record<string, unknown>>;

export interface V1Message {
  readonly id: string;
  readonly data?: unknown;
  readonly data64?: string;
}

export class V1Client implements AsyncDisposable {
  readonly socket: WebSocketClient;

  private constructor(socket: WebSocketClient) {
    this.socket = socket;
  }

  /** Connects, and takes the hello. */
  static async open(server: TestServer, query = '?channel=', options: ClientOptions = {}): Promise<V1Client> {
    const socket = await server.subscriber(query, { protocols: ['rivercast.v1'], ...options });
    const client = new V1Client(socket);
    await client.expect('hello');
    return client;
  }

  get closed(): Promise<Closed> {
    return this.socket.closed;
  }

  /** An object goes as its JSON, a string as it is. */
  send(frame: object | string): void {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  async next(): Promise<V1Frame> {
    const { type, data } = await this.socket.next();
    assert.equal(type, 'text');
    return JSON.parse(data.toString()) as V1Frame;
  }

  /** The next frame, which is of this type. */
  async expect(type: string): Promise<V1Frame> {
    const frame = await this.next();
    assert.equal(frame['type'], type, JSON.stringify(frame).slice(0, 300));
    return frame;
  }

  async subscribe(channel: string, asked: object = {}): Promise<V1Frame> {
    this.send({ type: 'subscribe', channel, ...asked });
    const subscribed = await this.expect('subscribed');
    assert.equal(subscribed['channel'], channel);
    return subscribed;
  }

  /** The next messages of this channel, in frames of nothing else but heartbeats. */
  async messages(channel: string, count: number): Promise<V1Message[]> {
    const messages: V1Message[] = [];
    while (messages.length < count) {
      const frame = await this.next();
      if (frame['type'] === 'cursor') continue;
      assert.deepEqual([frame['type'], frame['channel']], ['messages', channel], JSON.stringify(frame));
      messages.push(...messagesOf(frame));
    }
    assert.equal(messages.length, count);
    return messages;
  }

  async data(channel: string, count: number): Promise<unknown[]> {
    return (await this.messages(channel, count)).map(({ data }) => data);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.socket[Symbol.asyncDispose]();
  }
}

export function messagesOf(frame: V1Frame): readonly V1Message[] {
  assert.equal(frame['type'], 'messages');
  return frame['messages'] as V1Message[];
}
