/** Who is connected, the worst first. */
import { useState } from 'preact/hooks';
import { ask } from './access.ts';
import { count, moment, span } from './format.ts';
import { usePolling } from './store.ts';

interface Followed {
  readonly channel: string;
  readonly cursor: string;
  readonly lagEntries: number | null;
  readonly lagMs: number;
  readonly inMemory: boolean;
}

interface Subscriber {
  readonly id: number;
  readonly format: string;
  readonly address: string | null;
  readonly subject: string | null;
  readonly since: string;
  readonly stalledMs: number;
  readonly channels: readonly Followed[];
}

const LIMIT = 200;
const EVERY_MS = 2000;
const ORDERS = [
  ['lag', 'furthest behind first'],
  ['stalled', 'longest stalled first'],
  ['since', 'longest connected first'],
] as const;

export function SubscribersView() {
  const [order, setOrder] = useState('lag');
  const [subscribers, setSubscribers] = useState<readonly Subscriber[]>([]);
  const [trouble, setTrouble] = useState<string | null>(null);
  const look = async (): Promise<void> => {
    const answer = await ask<{ readonly subscribers: readonly Subscriber[] }>(
      `/api/subscribers?order=${order}&limit=${LIMIT}`,
    );
    setTrouble('ok' in answer ? null : answer.detail);
    if ('ok' in answer) setSubscribers(answer.ok.subscribers);
  };
  usePolling(look, EVERY_MS, [order]);
  return (
    <div class="page">
      <div class="bar">
        <h1>Subscribers</h1>
        <span class="muted">
          {subscribers.length === LIMIT ? `the first ${LIMIT}` : count(subscribers.length)}
        </span>
        <span class="grow" />
        <select aria-label="Order" value={order} onChange={(event) => setOrder(event.currentTarget.value)}>
          {ORDERS.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </div>
      {trouble !== null && <p class="trouble">{trouble}</p>}
      <div class="card table" role="region" aria-label="Subscribers" tabIndex={0}>
        <table>
          <Head />
          <tbody>
            {subscribers.map((subscriber) => (
              <SubscriberLine key={subscriber.id} {...subscriber} />
            ))}
          </tbody>
        </table>
        {subscribers.length === 0 && trouble === null && <p class="empty">Nobody is connected.</p>}
      </div>
    </div>
  );
}

function Head() {
  return (
    <thead>
      <tr>
        <th scope="col" class="number">
          No.
        </th>
        <th scope="col">From</th>
        <th scope="col">Format</th>
        <th scope="col">Follows</th>
        <th scope="col" class="number">
          Behind
        </th>
        <th scope="col" class="number">
          For
        </th>
        <th scope="col" class="number">
          Stalled
        </th>
        <th scope="col">Connected</th>
      </tr>
    </thead>
  );
}

function SubscriberLine({ id, address, subject, format, channels, stalledMs, since }: Subscriber) {
  const worst = channels.toSorted((a, b) => b.lagMs - a.lagMs)[0];
  const others = channels.length > 1 ? ` and ${channels.length - 1} more` : '';
  return (
    <tr>
      <td class="number">{id}</td>
      <td>
        {address ?? '–'}
        {subject !== null && <span class="muted"> {subject}</span>}
      </td>
      <td>{format}</td>
      <td title={worst?.cursor}>
        {worst?.channel ?? 'nothing'}
        {others}
      </td>
      <td class="number">{worst === undefined ? '–' : behindOf(worst)}</td>
      <td class={`number ${worst?.inMemory === false ? 'warn' : ''}`}>
        {worst === undefined ? '–' : span(worst.lagMs)}
      </td>
      <td class="number">{stalledMs > 0 ? span(stalledMs) : '–'}</td>
      <td>{moment(Date.parse(since))}</td>
    </tr>
  );
}

function behindOf({ lagEntries }: Followed): string {
  return lagEntries === null ? '?' : count(lagEntries);
}
