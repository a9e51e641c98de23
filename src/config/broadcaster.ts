/** The rows of the table of settings (config.ts) about sending messages out. */
import { bytes, count, type Rows, time } from './rows.ts';
import { GIB, KIB, MAX_TIMER_MS, MIB } from './values.ts';

type Name =
  | 'RING_BYTES'
  | 'WRITE_BYTES'
  | 'STALLED_BYTES'
  | 'SLOW_AFTER_MS'
  | 'SLOW_ENTRIES'
  | 'SLOW_BYTES'
  | 'MAX_CATCH_UPS';

export type BroadcasterValues = Record<Name, number>;

export const BROADCASTER_ROWS: Rows<BroadcasterValues> = {
  RING_BYTES: bytes(
    '32mib',
    [64 * KIB, 64 * GIB],
    'Memory for recent messages, one budget for the process; older ones are read from the log.',
  ),
  WRITE_BYTES: bytes(
    '256kib',
    [4 * KIB, 16 * MIB],
    'The largest single write to a socket: larger ones gain little speed and pin more memory.',
  ),
  STALLED_BYTES: bytes(
    '64mib',
    [64 * KIB, 64 * GIB],
    'Memory that sockets which do not drain keep alive, shared bytes counted once; above it the longest-stalled one is cut.',
  ),
  SLOW_AFTER_MS: time(
    '30s',
    [1, MAX_TIMER_MS],
    'A subscriber that took nothing for so long and is too far behind (the next two) is closed with 4408.',
  ),
  SLOW_ENTRIES: count('100000', [1, Number.MAX_SAFE_INTEGER], 'How many entries behind is too far.'),
  SLOW_BYTES: bytes('64mib', [1, 1024 * GIB], 'How many bytes behind is too far.'),
  MAX_CATCH_UPS: count(
    '500',
    [1, 1_000_000],
    'Subscribers that may be on a long way (more than 20,000 entries, none of them in memory) to the present at a time; more are told to come back a little later.',
  ),
};
