/**
 * The connections that carry subscriptions. One does for all, but for those that the server does not let it carry, and for
 * those that start at another place of a channel than others here stand: these have another until they have come there.
 */
import { Hub, type Siblings, type Where } from './hub.ts';
import { MAX_CHANNELS } from './limits.ts';
import type { Subscription } from './subscription.ts';

export class Hubs implements Siblings {
  maxChannels: number = MAX_CHANNELS;
  #all: Hub[] = [];
  readonly #where: Where;

  constructor(where: Where) {
    this.#where = where;
  }

  place(subscription: Subscription<unknown>): void {
    const { channel, after } = subscription;
    this.#all = this.#all.filter(({ link }) => link.state !== 'ended');
    let hub =
      this.#all.find(({ feeds }) => feeds.get(channel)?.fits(after)) ??
      this.#all.find(({ feeds }) => feeds.size < this.maxChannels && !feeds.has(channel));
    if (hub === undefined) this.#all.push((hub = new Hub(this.#where, this)));
    move(subscription, hub);
  }

  meet(channel: string): void {
    if (this.#all.length < 2) return;
    let first: Hub | undefined;
    for (const hub of this.#all) {
      const feed = hub.feeds.get(channel);
      if (feed?.state !== 'live') continue;
      first ??= hub;
      if (hub !== first && first.feeds.get(channel)?.isAt(feed.after) === true)
        for (const subscription of [...feed.members]) move(subscription, first);
    }
  }

  close(): void {
    for (const { link } of this.#all) link.close();
  }
}

function move(subscription: Subscription<unknown>, hub: Hub): void {
  const { hub: last } = subscription;
  subscription.hub = hub;
  hub.add(subscription);
  if (last !== hub) last?.gone(subscription);
}
