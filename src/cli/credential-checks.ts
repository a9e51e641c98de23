/** What `rivercast doctor` looks at of the files that let somebody in: the certificate with its key, and the API keys. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseApiKeys } from '../api-keys.ts';
import type { Config } from '../config.ts';
import { type Finding, ok } from './checks.ts';

const DAY_MS = 24 * 3600 * 1000;
/** As long before as the server begins to warn. */
const SOON_DAYS = 14;

export function checkCertificate({ http: { tls } }: Config, nowMs: number): Finding[] {
  if (tls === null) return [];
  const name = 'certificate';
  try {
    const certificate = new X509Certificate(readFileSync(tls.cert));
    const isPair = certificate.checkPrivateKey(createPrivateKey(readFileSync(tls.key)));
    if (!isPair) throw new Error(`${tls.key} is not the key of ${tls.cert}`);
    const days = Math.floor((Date.parse(certificate.validTo) - nowMs) / DAY_MS);
    const found = `of ${tls.cert}, good until ${certificate.validTo}`;
    if (days >= SOON_DAYS) return [ok(name, found)];
    const advice = days < 0 ? 'it has expired: clients refuse it' : 'renew it; the server reads it again';
    return [{ name, verdict: days < 0 ? 'fail' : 'warn', found, advice }];
  } catch (error) {
    const advice =
      'TLS_CERT and TLS_KEY name files in PEM form that belong together; the key has no passphrase';
    return [{ name, verdict: 'fail', found: (error as Error).message, advice }];
  }
}

export function checkApiKeys({ auth: { apiKeysFile } }: Config): Finding[] {
  if (apiKeysFile === null) return [];
  const name = 'api keys';
  try {
    const { length } = parseApiKeys(readFileSync(apiKeysFile, 'utf8'));
    return [ok(name, `${length} in ${apiKeysFile}`)];
  } catch (error) {
    const found = `${apiKeysFile}: ${(error as Error).message}`;
    const advice = `rivercast api-key <name> --publish '*' --file ${apiKeysFile} makes one`;
    return [{ name, verdict: 'fail', found, advice }];
  }
}
