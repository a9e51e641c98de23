/** Certificates of a private authority, made by openssl: one for 127.0.0.1, and one of an authority nobody uses. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const DAYS = 2;

export interface Certificates {
  readonly ca: string;
  readonly otherCa: string;
  readonly cert: string;
  readonly key: string;
}

/** Paths of PEM files in `dir`. */
export async function makeCertificates(dir: string): Promise<Certificates> {
  const path = (name: string): string => join(dir, `${name}.pem`);
  const authority = async (name: string): Promise<void> => {
    const out = ['-keyout', path(`${name}-key`), '-out', path(name), '-subj', `/CN=${name}`];
    await run('openssl', ['req', '-x509', ...KEY, '-days', String(DAYS), ...out]);
  };
  await Promise.all([authority('ca'), authority('other-ca')]);
  await signed(dir, { cert: path('cert'), key: path('key'), days: DAYS });
  return { ca: path('ca'), otherCa: path('other-ca'), cert: path('cert'), key: path('key') };
}

/** One more for 127.0.0.1, of the authority in `dir`, written to the paths given. */
export async function signed(
  dir: string,
  { cert, key, days }: { readonly cert: string; readonly key: string; readonly days: number },
): Promise<void> {
  const by = ['-CA', join(dir, 'ca.pem'), '-CAkey', join(dir, 'ca-key.pem')];
  const own = ['-keyout', key, '-out', cert, '-subj', '/CN=server', '-days', String(days)];
  const extensions = ['-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'basicConstraints=CA:FALSE'];
  await run('openssl', ['req', '-x509', ...KEY, ...own, ...by, ...extensions]);
}
