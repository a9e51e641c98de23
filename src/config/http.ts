/** The rows of the table of settings (config.ts) about listening, and who may come. */
import { z } from 'zod';
import { BOOLEAN, parsed, type Rows, time } from './rows.ts';
import type { AddressRange } from './shape.ts';
import { MAX_TIMER_MS, parseAddressRanges, parseOrigins, parsePorts } from './values.ts';

export interface HttpValues {
  HOST: string;
  PORT: readonly number[];
  ALLOW_ANONYMOUS: boolean;
  ALLOWED_ORIGINS: readonly string[];
  TRUST_PROXY: readonly AddressRange[];
  HEARTBEAT_MS: number;
  IDLE_TIMEOUT_MS: number;
  LINGER_MS: number;
  COMPRESSION: boolean;
  CONSOLE: boolean;
}

export const HTTP_ROWS: Rows<HttpValues> = {
  HOST: {
    schema: z.string().regex(/^[A-Za-z0-9_.:%-]{1,255}$/),
    initial: '127.0.0.1',
    allowed: 'an IP address or host name',
    description:
      'The address to listen on. Any but a loopback address needs keys to know tokens by (`AUTH_HS256_SECRET` and others), or `ALLOW_ANONYMOUS=true`.',
  },
  PORT: {
    schema: parsed(parsePorts),
    initial: '3000',
    allowed: 'one to eight port numbers from 0 to 65535, separated by commas; 0 is any free port',
    description: 'The ports to listen on. The first must be free; for the others a taken port is a warning.',
  },
  ALLOW_ANONYMOUS: {
    schema: BOOLEAN,
    initial: 'false',
    allowed: '`true`, `false`',
    description:
      'Whether a server that asks for no token may listen on a `HOST` that is not loopback: then anybody who reaches it may publish and subscribe.',
    boolean: true,
  },
  ALLOWED_ORIGINS: {
    schema: parsed(parseOrigins),
    initial: '',
    allowed: 'origins such as `https://example.com` or `https://*.example.com`, separated by commas',
    description:
      'The web pages that may connect. Empty: pages on loopback, and pages of the same origin where that is an IP address, or `HOST` is not loopback, `AUTH` is `required` or `ALLOW_ANONYMOUS` is set.',
  },
  TRUST_PROXY: {
    schema: parsed(parseAddressRanges),
    initial: '',
    allowed: '`loopback`, addresses, or ranges such as `10.0.0.0/8`, separated by commas',
    description:
      'The proxies in front of this server. What one of them says in `X-Forwarded-For` is where a client comes from.',
  },
  HEARTBEAT_MS: time(
    '25s',
    [100, MAX_TIMER_MS],
    'A connection silent for so long is pinged: below the 30 to 60 s after which proxies cut one.',
  ),
  IDLE_TIMEOUT_MS: time(
    '60s',
    [100, MAX_TIMER_MS],
    'A connection without any sign of life for so long is closed. More than `HEARTBEAT_MS`.',
  ),
  LINGER_MS: time(
    '30s',
    [0, MAX_TIMER_MS],
    'How long a subscriber closed as too slow may still read what was sent, and the close.',
  ),
  COMPRESSION: {
    schema: BOOLEAN,
    initial: 'off',
    allowed: '`on`, `off`',
    description:
      'Whether subscribers on `/ws/broadcast` that offer `permessage-deflate` are sent compressed messages, each compressed once for all. Costs the process time; gains nothing for messages below 1 KiB or compressed already.',
    boolean: true,
  },
  CONSOLE: {
    schema: BOOLEAN,
    initial: 'on',
    allowed: '`on`, `off`',
    description:
      'Whether a browser that opens `/` is shown the console ([console.md](console.md)). Its files are open to all; what it shows takes the permission of whoever looks.',
    boolean: true,
  },
};
