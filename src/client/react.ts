/**
 * `rivercast/react`: a channel as the state of a component.
 *
 *   const { messages, state } = useChannel(river, 'scores', { after: 'last:10' });
 *
 * React is a peer: it is the application's own.
 */
import { useEffect, useState } from 'react';
import type { Gap, Message, River, SubscribeOptions, SubscriptionState } from './index.ts';

/** More than anybody looks at. */
const MAX_KEPT = 100;

export interface UseChannelOptions<Data> extends Pick<SubscribeOptions<Data>, 'after' | 'schema'> {
  /** How many of the newest messages are kept. */
  readonly keep?: number;
  /** Some messages can not be had any more. Without it the newest gap is in what the hook returns. */
  readonly onGap?: (gap: Gap) => void;
}

export interface ChannelView<Data> {
  /** The newest ones, oldest first. */
  readonly messages: readonly Message<Data>[];
  readonly last: Message<Data> | null;
  readonly state: SubscriptionState;
  /** Why it ended, if it did. */
  readonly error: Error | null;
  readonly gap: Gap | null;
}

const NOTHING: ChannelView<never> = { messages: [], last: null, state: 'connecting', error: null, gap: null };

/**
 * Follows a channel while the component is there. Another river, channel or (string) `after` is another subscription;
 * other options are taken as they were when it began. What comes in one frame of the screen is one render.
 */
export function useChannel<Data = unknown>(
  river: River,
  channel: string,
  options: UseChannelOptions<Data> = {},
): ChannelView<Data> {
  const [view, setView] = useState<ChannelView<Data>>(NOTHING);
  const { after } = options;
  // A store is mostly made anew for each render, too.
  const place = typeof after === 'object' ? 'stored' : after;
  useEffect(() => {
    setView(NOTHING);
    return follow(river, channel, options, setView);
    // The rest of the options is mostly written anew for each render.
  }, [river, channel, place]);
  return view;
}

type Change<Data> = (view: ChannelView<Data>) => ChannelView<Data>;

/** Returns what ends it. */
function follow<Data>(
  river: River,
  channel: string,
  { after, schema, keep = MAX_KEPT, onGap }: UseChannelOptions<Data>,
  setView: (change: Change<Data>) => void,
): () => void {
  let isGone = false;
  let arrived: Message<Data>[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const change = (part: Partial<ChannelView<Data>>): void => {
    if (!isGone) setView((view) => ({ ...view, ...part }));
  };
  const show = (): void => {
    timer = undefined;
    const some = arrived;
    arrived = [];
    if (isGone) return;
    setView((view) => {
      const messages = [...view.messages, ...some].slice(-keep);
      return { ...view, messages, last: messages.at(-1) ?? null };
    });
  };
  const subscription = river.subscribe<Data>(channel, {
    ...(after === undefined ? {} : { after }),
    ...(schema === undefined ? {} : { schema }),
    onMessage: (message) => {
      arrived.push(message);
      if (arrived.length > keep) arrived.shift();
      timer ??= setTimeout(show, 16);
    },
    onGap: (gap) => {
      onGap?.(gap);
      change({ gap });
    },
    onState: (state, error) => change({ state, error }),
  });
  return () => {
    isGone = true;
    clearTimeout(timer);
    subscription.unsubscribe();
  };
}
