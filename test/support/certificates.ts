/** Certificates of a private authority, made by openssl: one for 127.0.0.1, and one of an authority nobody uses. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

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
    await run('openssl', ['req', '-x509', ...KEY, ...out]);
  };
  await Promise.all([authority('ca'), authority('other-ca')]);
  const signed = ['-CA', path('ca'), '-CAkey', path('ca-key'), '-addext', 'subjectAltName=IP:127.0.0.1'];
  const own = ['-keyout', path('key'), '-out', path('cert'), '-subj', '/CN=redis'];
  await run('openssl', ['req', '-x509', ...KEY, ...own, ...signed, '-addext', 'basicConstraints=CA:FALSE']);
  return { ca: path('ca'), otherCa: path('other-ca'), cert: path('cert'), key: path('key') };
}
