/** `rivercast/client`: subscribe and publish, in browsers and Node. */
export { type Gap, GapError, RiverError } from './error.ts';
export type { SocketClass } from './host.ts';
export type {
  CursorStore,
  ListenOptions,
  Message,
  Schema,
  SubscribeOptions,
  SubscriptionState,
} from './message.ts';
export type { PublishOptions } from './publisher.ts';
export { type ConnectOptions, connect, River } from './river.ts';
export { stored } from './stored.ts';
export type { Subscription } from './subscription.ts';
export type { TokenSource } from './token.ts';
