/** The rows of the table of settings (config.ts) about how much one may have of what all share. */
import { count, perSecond, type Rows } from './rows.ts';

type Name =
  | 'MAX_CONNECTIONS'
  | 'MAX_CONNECTIONS_PER_IP'
  | 'MAX_CONNECTIONS_PER_SUBJECT'
  | 'MAX_CHANNELS_PER_CONNECTION'
  | 'MAX_PUBLISHES_PER_SECOND'
  | 'MAX_PUBLISHES_PER_SECOND_PER_SUBJECT';

export type QuotaValues = Record<Name, number>;

const MANY = 10_000_000;

export const QUOTA_ROWS: Rows<QuotaValues> = {
  MAX_CONNECTIONS: count(
    '100000',
    [1, MANY],
    'WebSockets and event streams open at once. More are refused with `limit_reached`.',
  ),
  MAX_CONNECTIONS_PER_IP: count(
    '0',
    [0, MANY],
    'The same from one address (see `TRUST_PROXY`), or one IPv6 network of 64 bits. 0: no such limit.',
  ),
  MAX_CONNECTIONS_PER_SUBJECT: count(
    '0',
    [0, MANY],
    'The same of one subject, which is the claim `sub` of a token or the name of an API key. 0: no such limit.',
  ),
  MAX_CHANNELS_PER_CONNECTION: count(
    '100',
    [1, 10_000],
    'Channels that one connection may follow. Each costs a place in every pass over its channel.',
  ),
  MAX_PUBLISHES_PER_SECOND: perSecond(
    '0',
    [0, MANY],
    'Messages a second that one connection may publish, and as many at once after a second of rest. Beyond it raw publishers wait, others are refused with `rate_limited`. 0: no such limit.',
  ),
  MAX_PUBLISHES_PER_SECOND_PER_SUBJECT: perSecond(
    '0',
    [0, MANY],
    'The same for all connections of a subject together. 0: no such limit.',
  ),
};
