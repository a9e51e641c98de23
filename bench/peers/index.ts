/** Everybody else, as far as they are installed here. */
import type { Target } from '../targets.ts';
import { nats, natsVersion } from './nats.ts';
import { nchan, nchanVersion } from './nchan.ts';
import { socketIo } from './socket-io.ts';

export const natsTarget: Target | null = natsVersion() === null ? null : nats;

export const PEERS: readonly Target[] = [
  socketIo,
  ...(natsTarget === null ? [] : [natsTarget]),
  ...(nchanVersion() === null ? [] : [nchan]),
];

/** For the report: who took part, and who did not. */
export function peersText(): string {
  const text = (name: string, version: string | null) =>
    `${name} ${version ?? 'missing (make bench-peers installs it)'}`;
  return [text('NATS', natsVersion()), text('Nchan', nchanVersion())].join(', ');
}
