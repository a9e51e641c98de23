/** The rows of the table of settings (config.ts) about the process itself. */
import { oneOf, type Rows, seconds, time } from './rows.ts';
import { type LogLevel, ROLES, type Role } from './shape.ts';
import { HOUR, MAX_TIMER_MS } from './values.ts';

export interface ProcessValues {
  ROLE: Role;
  LOG_LEVEL: LogLevel;
  DRAIN_DELAY_SECONDS: number;
  DRAIN_SECONDS: number;
  DRAIN_TIMEOUT_MS: number;
}

export const PROCESS_ROWS: Rows<ProcessValues> = {
  ROLE: oneOf(
    'all',
    ROLES,
    'What this process does: take messages in (`manager`), send them out (`broadcaster`), or both. Anything but `all` needs `REDIS_URL`.',
  ),
  LOG_LEVEL: oneOf(
    'info',
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    'The least severe log lines that are written.',
  ),
  DRAIN_DELAY_SECONDS: seconds(
    '0',
    [0, HOUR],
    'How long a stop goes on as before with `/readyz` at 503, so that load balancers look elsewhere before connections are refused.',
  ),
  DRAIN_SECONDS: seconds(
    '5',
    [0, HOUR],
    'Over how long a stop spreads the closes of subscribers, so that they do not all come back elsewhere at once: never slower than 10 a second, never faster than 5,000. 0: as fast as that.',
  ),
  DRAIN_TIMEOUT_MS: time(
    '10s',
    [0, MAX_TIMER_MS],
    'How long a stop may take to store what publishers sent and to tell subscribers, beyond `DRAIN_DELAY_SECONDS` and `DRAIN_SECONDS`.',
  ),
};
