/** Lists the channels of a store that knows all of them by name. */
import { compareChannels } from '../channels.ts';
import type { Look } from './judge.ts';
import type { ChannelPage } from './log.ts';

/** One page of the channels, as `Log.channels` gives it; one without a history is passed over. */
export function pageOf<State>(
  states: ReadonlyMap<string, State>,
  { after, limit }: { readonly after: string | null; readonly limit: number },
  look: (state: State) => Look,
): ChannelPage {
  const names = firstAfter(states.keys(), after, limit + 1);
  const listed = names.slice(0, limit);
  const channels = listed.flatMap((channel) => {
    const { epoch, floor, tip, tipOrdinal, length } = look(states.get(channel) as State);
    return epoch === null ? [] : [{ channel, epoch, floor, tip, tipOrdinal, length }];
  });
  return { channels, cursor: names.length > limit ? (listed.at(-1) ?? null) : null };
}

/** The first `count` names after `after`, in order; without sorting all there are. */
function firstAfter(names: Iterable<string>, after: string | null, count: number): string[] {
  let first: string[] = [];
  let highest: string | null = null;
  for (const name of names) {
    if (after !== null && compareChannels(name, after) <= 0) continue;
    if (highest !== null && compareChannels(name, highest) > 0) continue;
    first.push(name);
    if (first.length < 2 * count) continue;
    first = first.toSorted(compareChannels).slice(0, count);
    highest = first.at(-1) ?? null;
  }
  return first.toSorted(compareChannels).slice(0, count);
}
