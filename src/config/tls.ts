/** The rows of the table of settings (config.ts) about encrypting connections without a proxy. */
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Row, Rows } from './rows.ts';

export interface TlsValues {
  TLS_CERT: string | undefined;
  TLS_KEY: string | undefined;
}

function pemFile(what: string, description: string): Row<z.ZodType<string | undefined>> {
  const path = z.string().min(1);
  const schema = path.transform((text) => resolve(text)).optional();
  return { schema, initial: '', allowed: `a file of ${what} in PEM form`, description };
}

export const TLS_ROWS: Rows<TlsValues> = {
  TLS_CERT: pemFile(
    'certificates',
    'The certificate of the server, and behind it those that lead to its authority. With `TLS_KEY`: all ports speak TLS (`https://`, `wss://`), and nothing else.',
  ),
  TLS_KEY: pemFile(
    'a private key without a passphrase',
    'The private key of `TLS_CERT`. Both files are read again on SIGHUP, and when they change.',
  ),
};
