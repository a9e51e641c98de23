/** The rows of the table of settings (config.ts) about taking messages in. */
import { bytes, count, type Rows, time } from './rows.ts';
import { GIB, MAX_TIMER_MS, MIB } from './values.ts';

type Name =
  | 'MAX_MESSAGE_BYTES'
  | 'PUBLISHER_BUFFER_BYTES'
  | 'MANAGER_BUFFER_BYTES'
  | 'BATCH_MAX_ENTRIES'
  | 'BATCH_MAX_BYTES'
  | 'BATCH_WAIT_MS'
  | 'OVERLOADED_AFTER_MS';

export type ManagerValues = Record<Name, number>;

export const MANAGER_ROWS: Rows<ManagerValues> = {
  MAX_MESSAGE_BYTES: bytes(
    '1mib',
    [1, 64 * MIB],
    'The largest message a publisher may send: it has to fit in memory, whole.',
  ),
  PUBLISHER_BUFFER_BYTES: bytes(
    '1mib',
    [1, GIB],
    'Bytes of one publisher that wait to be stored; above it the publisher is not read (TCP back-pressure).',
  ),
  MANAGER_BUFFER_BYTES: bytes(
    '64mib',
    [1, 64 * GIB],
    'The same for all publishers together, a quarter of it for raw ones of one channel. What channels hold whose log stands still counts apart, up to as much again.',
  ),
  BATCH_MAX_ENTRIES: count(
    '2000',
    [1, 100_000],
    'Entries stored at once: a batch of 2,000 holds Redis up for about 6 ms.',
  ),
  BATCH_MAX_BYTES: bytes(
    '1mib',
    [1, 64 * MIB],
    'Bytes stored at once; a larger message is a batch of its own.',
  ),
  BATCH_WAIT_MS: time(
    '0',
    [0, 1000],
    'For so long a busy channel lets its next batch gather: larger batches for later answers. One that is idle stores at once.',
  ),
  OVERLOADED_AFTER_MS: time(
    '5s',
    [100, MAX_TIMER_MS],
    'When the log has accepted nothing of a channel for so long, publishers that are answered are told to try again; raw ones wait.',
  ),
};
