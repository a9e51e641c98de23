/** Subscribers of each kind that follow the default channel from where it is, and keep what they were sent. */
import { EventStream } from '../support/event-stream.ts';
import { type Closed, WebSocketClient } from '../support/websocket-client.ts';
import { until } from '../support/within.ts';
import type { Server } from './publishers.ts';

export interface Follower {
  readonly name: string;
  /** All messages so far, in the order in which they came. */
  texts(): Promise<readonly string[]>;
  /** The reasons of the gaps it was told so far. */
  readonly gaps: readonly string[];
  /** How the server closed it; null as long as it has not. */
  readonly closed: Closed | null;
  leave(): Promise<void>;
}

export async function rawFollower(server: Server, query: string = ''): Promise<Follower> {
  return webSocketFollower(
    'raw',
    await WebSocketClient.connect(server.url(`/ws/broadcast${query}`)),
    (data) => [data],
  );
}

export async function v1Follower(server: Server, query: string = ''): Promise<Follower> {
  const url = server.url(`/ws/broadcast${query}`);
  const socket = await WebSocketClient.connect(url, { protocols: ['rivercast.v1'] });
  const gaps: string[] = [];
  const read = (text: string): string[] => {
    const frame = JSON.parse(text) as V1Frame;
    if (frame.type === 'gap') gaps.push(frame.reason);
    return frame.type === 'messages' ? frame.messages.map(({ data }) => data) : [];
  };
  const follower = webSocketFollower('v1', socket, read, gaps);
  await until('the channel is subscribed', () => socket.receivedCount >= 2);
  return follower;
}

type V1Frame =
  | { readonly type: 'hello' | 'subscribed' | 'cursor' }
  | { readonly type: 'gap'; readonly reason: string }
  | { readonly type: 'messages'; readonly messages: readonly { readonly data: string }[] };

function webSocketFollower(
  name: string,
  socket: WebSocketClient,
  read: (text: string) => string[],
  gaps: string[] = [],
): Follower {
  const texts: string[] = [];
  let taken = 0;
  let closed: Closed | null = null;
  socket.closed.then((how) => (closed = how)).catch(() => undefined);
  return {
    name,
    gaps,
    texts: async () => {
      const count = socket.receivedCount - taken;
      taken += count;
      for (const { data } of await socket.take(count)) texts.push(...read(data.toString()));
      return texts;
    },
    get closed() {
      return closed;
    },
    leave: () => socket[Symbol.asyncDispose](),
  };
}

export async function sseFollower(server: Server, query: string = ''): Promise<Follower> {
  const stream = await EventStream.open(`${server.address}/sse${query}`);
  const texts: string[] = [];
  const gaps: string[] = [];
  let closed: Closed | null = null;
  let taken = 0;
  stream.ended.then(() => (closed = { code: 0, reason: '' })).catch(() => undefined);
  return {
    name: 'sse',
    gaps,
    texts: async () => {
      const count = stream.count - taken;
      taken += count;
      for (const { type, data } of await stream.take(count)) {
        if (type === 'gap') gaps.push((JSON.parse(data) as { reason: string }).reason);
        else texts.push(data);
      }
      return texts;
    },
    get closed() {
      return closed;
    },
    leave: () => stream[Symbol.asyncDispose](),
  };
}
