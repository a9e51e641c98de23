/** The life of a subscription, as a pure and total table. subscription.ts does what the states mean. */
import type { SubscriptionState } from './message.ts';

export type SubscriptionEvent =
  /** The server said where it stands, and sends what comes. */
  | 'begun'
  /** The connection is gone, or the server will not have it for now. */
  | 'lost'
  /** As much as fits waits for the reader. */
  | 'full'
  /** Half of that was taken. */
  | 'room'
  /** Somebody left it, or it was refused, or failed. */
  | 'over';

type Changes = Readonly<Partial<Record<SubscriptionEvent, SubscriptionState>>>;

/** What changes a state, and into what; whatever else happens, it stays. */
const CHANGES: Readonly<Record<SubscriptionState, Changes>> = {
  connecting: { begun: 'live', full: 'paused', over: 'ended' },
  live: { lost: 'connecting', full: 'paused', over: 'ended' },
  // It follows nothing: neither answers nor losses of connections are about it.
  paused: { room: 'connecting', over: 'ended' },
  ended: {},
};

export function nextState(state: SubscriptionState, event: SubscriptionEvent): SubscriptionState {
  return CHANGES[state][event] ?? state;
}
