/** A whole server for a test that speaks TLS, and its files in a directory of the test. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Log } from '../../src/log/log.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { TestServer } from './running-server.ts';
import { trust } from './secure.ts';
import { tempDir } from './temp-dir.ts';

export interface TlsFiles extends Certificates {
  readonly dir: string;
  /** What a server is told. */
  readonly settings: { readonly TLS_CERT: string; readonly TLS_KEY: string };
}

/** The clients of this test file trust the authority that signed them. */
export async function tlsFiles(t: TestContext): Promise<TlsFiles> {
  const dir = await tempDir(t);
  const certificates = await makeCertificates(dir);
  trust(await readFile(certificates.ca, 'utf8'));
  return {
    ...certificates,
    dir,
    settings: { TLS_CERT: join(dir, 'cert.pem'), TLS_KEY: join(dir, 'key.pem') },
  };
}

export async function startTls(
  t: TestContext,
  settings: Readonly<Record<string, string>> = {},
  log?: Log,
): Promise<TestServer> {
  const files = await tlsFiles(t);
  return TestServer.start({ ...files.settings, ...settings }, log);
}
