/** The rows of the table of settings (config.ts) about what a client may cost. */
import { bytes, count, perSecond, type Rows, time } from './rows.ts';
import { GIB, KIB, MAX_TIMER_MS } from './values.ts';

type Name =
  | 'MAX_SOCKETS'
  | 'HANDSHAKE_TIMEOUT_MS'
  | 'REQUEST_TIMEOUT_MS'
  | 'MAX_HEADERS'
  | 'MAX_HEADER_BYTES'
  | 'MAX_FRAGMENTS'
  | 'MAX_CONTROL_FRAMES_PER_SECOND'
  | 'MAX_SUBSCRIBER_FRAMES_PER_SECOND'
  | 'INCOMPLETE_BYTES';

export type LimitValues = Record<Name, number>;

export const LIMIT_ROWS: Rows<LimitValues> = {
  MAX_SOCKETS: count(
    '0',
    [0, 10_000_000],
    'Sockets that are accepted on a port, whatever they are for; more are closed at once, without a word. 0: `MAX_CONNECTIONS`, a tenth more and 1,000.',
  ),
  HANDSHAKE_TIMEOUT_MS: time(
    '10s',
    [100, MAX_TIMER_MS],
    'A connection whose request has no whole head after so long is closed, also one that says nothing.',
  ),
  REQUEST_TIMEOUT_MS: time(
    '30s',
    [100, MAX_TIMER_MS],
    'A request that is not whole after so long is refused. At least `HANDSHAKE_TIMEOUT_MS`. A batch may take as long as it likes.',
  ),
  MAX_HEADERS: count('100', [10, 10_000], 'Header lines of a request; one with more is refused with 431.'),
  MAX_HEADER_BYTES: bytes(
    '16kib',
    [KIB, 1024 * KIB],
    'Bytes of the head of a request; one with more is refused with 431.',
  ),
  MAX_FRAGMENTS: count(
    '128',
    [1, 1_000_000],
    'Frames that one WebSocket message may come in; with more it is closed with 1008.',
  ),
  MAX_CONTROL_FRAMES_PER_SECOND: perSecond(
    '100',
    [1, 1_000_000],
    'Pings and pongs a second from one WebSocket; who sends more is closed with 1008.',
  ),
  MAX_SUBSCRIBER_FRAMES_PER_SECOND: perSecond(
    '500',
    [1, 1_000_000],
    'Frames of messages a second from one subscriber, who has little to say; who sends more is closed with 1008. Twice `MAX_CHANNELS_PER_CONNECTION` where that is more.',
  ),
  INCOMPLETE_BYTES: bytes(
    '64mib',
    [64 * KIB, 64 * GIB],
    'Memory for what clients have begun and not finished, one budget for the process: bodies, lines of batches, WebSocket messages. Above it the one whose next bytes do not fit is refused.',
  ),
};
