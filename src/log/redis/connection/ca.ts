/** The certificates of a private authority, read and looked at once, at the start. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { StartError } from '../../../errors.ts';

/** The file's text; throws a StartError when it is not there or holds no certificate. */
export function readCa(path: string): string {
  let pem: string;
  try {
    pem = readFileSync(path, 'utf8');
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new StartError(`REDIS_CA_FILE="${path}" can not be read (${code})`);
  }
  try {
    new X509Certificate(pem).toString();
  } catch {
    throw new StartError(`REDIS_CA_FILE="${path}" holds no certificate in PEM form`);
  }
  return pem;
}
