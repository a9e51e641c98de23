/** The rows of the table of settings (config.ts) about the process itself. */
import { oneOf, type Rows, time } from './rows.ts';
import type { LogLevel, Role } from './shape.ts';
import { MAX_TIMER_MS } from './values.ts';

export interface ProcessValues {
  ROLE: Role;
  LOG_LEVEL: LogLevel;
  DRAIN_TIMEOUT_MS: number;
}

export const PROCESS_ROWS: Rows<ProcessValues> = {
  ROLE: oneOf(
    'all',
    ['all', 'manager', 'broadcaster'],
    'What this process does: take messages in (`manager`), send them out (`broadcaster`), or both. Anything but `all` needs `REDIS_URL`.',
  ),
  LOG_LEVEL: oneOf(
    'info',
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    'The least severe log lines that are written.',
  ),
  DRAIN_TIMEOUT_MS: time(
    '10s',
    [0, MAX_TIMER_MS],
    'How long a stop may take to store what publishers sent and to tell subscribers.',
  ),
};
