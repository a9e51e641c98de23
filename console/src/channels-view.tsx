/** The channels that the log keeps, and one may see. */
import { useState } from 'preact/hooks';
import { ask } from './access.ts';
import { doors } from './doors.ts';
import { count, idTime, moment } from './format.ts';
import { addressOf } from './route.ts';
import { Store, usePolling, useStore } from './store.ts';

export interface ChannelInfo {
  readonly channel: string;
  readonly floor: string | null;
  readonly tip: string;
  readonly length: number;
  readonly subscribers: number;
}

interface Listed {
  readonly channels: readonly ChannelInfo[];
  readonly cursor: string | null;
}

/** Read page by page, up to so many. */
const MAX_CHANNELS = 5000;
const PAGE = 1000;
const EVERY_MS = 3000;
const MAX_OFFERED = 200;

/** Null: not asked yet. */
const channels = new Store<readonly ChannelInfo[] | null>(null);

async function lookForChannels(): Promise<void> {
  const found: ChannelInfo[] = [];
  let after: string | null = null;
  do {
    const place: string = after === null ? '' : `&after=${encodeURIComponent(after)}`;
    const answer = await ask<Listed>(`/api/channels?limit=${PAGE}${place}`);
    if (!('ok' in answer)) return;
    found.push(...answer.ok.channels);
    after = answer.ok.cursor;
  } while (after !== null && found.length < MAX_CHANNELS);
  channels.set(found);
}

/** For a field that offers them. */
export function lookAtChannels(): void {
  lookForChannels().catch(() => undefined);
}

/** What such a field offers; once on a page. */
export function OfferedChannels() {
  const all = useStore(channels) ?? [];
  return (
    <datalist id="channels">
      {all.slice(0, MAX_OFFERED).map(({ channel }) => (
        <option key={channel} value={channel} />
      ))}
    </datalist>
  );
}

export function ChannelsView() {
  const [needle, setNeedle] = useState('');
  const all = useStore(channels);
  const { follows } = useStore(doors);
  usePolling(lookForChannels, EVERY_MS, []);
  const shown = (all ?? [])
    .filter(({ channel }) => channel.toLowerCase().includes(needle.toLowerCase()))
    .toSorted((a, b) => b.length - a.length || (a.channel < b.channel ? -1 : 1));
  return (
    <div class="page">
      <div class="bar">
        <h1>Channels</h1>
        <span class="muted">{all === null ? 'looking…' : count(all.length)}</span>
        <span class="grow" />
        <input
          type="search"
          data-filter
          aria-label="Filter channels by name"
          placeholder="Filter by name"
          value={needle}
          onInput={(event) => setNeedle(event.currentTarget.value)}
        />
      </div>
      <div class="card table" role="region" aria-label="Channels" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Channel</th>
              <th scope="col" class="number">
                Messages kept
              </th>
              {follows && (
                <th scope="col" class="number">
                  Subscribers
                </th>
              )}
              <th scope="col">Oldest</th>
              <th scope="col">Newest</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((info) => (
              <ChannelLine key={info.channel} info={info} isFollowed={follows} />
            ))}
          </tbody>
        </table>
        {all !== null && shown.length === 0 && (
          <p class="empty">No channel {needle === '' ? 'yet' : 'has that in its name'}.</p>
        )}
      </div>
    </div>
  );
}

interface ChannelLineOptions {
  readonly info: ChannelInfo;
  readonly isFollowed: boolean;
}

function ChannelLine({ info, isFollowed }: ChannelLineOptions) {
  const { channel, floor, tip, length, subscribers } = info;
  return (
    <tr>
      <th scope="row">
        <a href={addressOf('messages', channel)}>{channel}</a>
      </th>
      <td class="number">{count(length)}</td>
      {isFollowed && <td class="number">{count(subscribers)}</td>}
      <td>{timeOf(floor)}</td>
      <td>{timeOf(tip)}</td>
    </tr>
  );
}

function timeOf(id: string | null): string {
  const ms = idTime(id);
  return ms === null ? '–' : moment(ms);
}
