/**
 * The certificate of this server and its key: read at the start, and again when their files change
 * (watched-files.ts) or the operator asks for it. A pair that can not be used is told of once, and the one before
 * goes on.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Clock } from '../../clock.ts';
import type { TlsFiles } from '../../config.ts';
import { StartError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { traceOf, WatchedFiles } from '../../watched-files.ts';

const WARN_MS = 60_000;
const DAY_MS = 24 * 3600 * 1000;
const WARN_DAYS = 14;

/** Both in PEM form; they belong together. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

interface Read extends Pair {
  readonly expiresMs: number;
}

type Outcome = { readonly ok: Read } | { readonly wrong: string };

export interface CertificateOptions {
  readonly files: TlsFiles;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Certificate {
  readonly #options: CertificateOptions;
  readonly #files: WatchedFiles;
  readonly #timer: NodeJS.Timeout;
  #current: Read;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #use: ((pair: Pair) => void) | null = null;

  private constructor(options: CertificateOptions, seen: string, read: Read) {
    const { files, logger } = options;
    this.#options = options;
    this.#current = read;
    this.#files = new WatchedFiles({ paths: pathsOf(files), seen, read: () => this.#read(), logger });
    this.#warn();
    this.#timer = setInterval(() => this.#warn(), WARN_MS).unref();
  }

  /** Reads the files for the first time; rejects with StartError when they can not be used. */
  static async open(options: CertificateOptions): Promise<Certificate> {
    const seen = await traceOf(pathsOf(options.files));
    const outcome = await read(options.files);
    if ('wrong' in outcome) throw new StartError(outcome.wrong);
    return new Certificate(options, seen, outcome.ok);
  }

  get pair(): Pair {
    return this.#current;
  }

  /** `use` is called with each pair that takes the place of the current one. */
  follow(use: (pair: Pair) => void): void {
    this.#use = use;
  }

  /** Reads the files again, whether they changed or not. Resolves when the outcome was told. */
  reload(): Promise<void> {
    return this.#files.reload();
  }

  close(): void {
    this.#files.close();
    clearInterval(this.#timer);
    this.#use = null;
  }

  async #read(): Promise<void> {
    const { files, logger } = this.#options;
    const outcome = await read(files);
    if ('wrong' in outcome) {
      logger.error({ reason: outcome.wrong }, 'the new certificate can not be used; the one before goes on');
      return;
    }
    this.#current = outcome.ok;
    this.#use?.(outcome.ok);
    logger.info({ cert: files.cert, expires: dateOf(outcome.ok) }, 'the certificate was read again');
    this.#warnedMs = Number.NEGATIVE_INFINITY;
    this.#warn();
  }

  /** Once a day. */
  #warn(): void {
    const { clock, files, logger } = this.#options;
    const now = clock.now();
    const days = (this.#current.expiresMs - now) / DAY_MS;
    if (days > WARN_DAYS || now - this.#warnedMs < DAY_MS) return;
    this.#warnedMs = now;
    const message = days > 0 ? 'the certificate expires soon' : 'the certificate has expired';
    logger.warn({ cert: files.cert, expires: dateOf(this.#current) }, message);
  }
}

function dateOf({ expiresMs }: Read): string {
  return new Date(expiresMs).toISOString();
}

function pathsOf({ cert, key }: TlsFiles): readonly string[] {
  return [cert, key];
}

async function read({ cert, key }: TlsFiles): Promise<Outcome> {
  const [certText, keyText] = await Promise.all([textOf('TLS_CERT', cert), textOf('TLS_KEY', key)]);
  if ('wrong' in certText) return certText;
  if ('wrong' in keyText) return keyText;
  return check({ cert: certText.ok, key: keyText.ok }, { cert, key });
}

async function textOf(
  setting: string,
  path: string,
): Promise<{ readonly ok: string } | { readonly wrong: string }> {
  try {
    return { ok: await readFile(path, 'utf8') };
  } catch (error) {
    return { wrong: `${setting}="${path}" can not be read (${codeOf(error)})` };
  }
}

function check(pair: Pair, paths: TlsFiles): Outcome {
  const certificate = parsed(() => new X509Certificate(pair.cert));
  if (certificate === null) return { wrong: `TLS_CERT="${paths.cert}" holds no certificate in PEM form` };
  const key = parsed(() => createPrivateKey(pair.key));
  if (key === null) return { wrong: `TLS_KEY="${paths.key}" holds no private key in PEM form ${WITHOUT}` };
  if (!belongs(certificate, key)) {
    return { wrong: `TLS_KEY="${paths.key}" is not the key of the certificate in TLS_CERT="${paths.cert}"` };
  }
  try {
    createSecureContext(pair);
  } catch (error) {
    return { wrong: `TLS_CERT="${paths.cert}" can not be used: ${(error as Error).message}` };
  }
  return { ok: { ...pair, expiresMs: Date.parse(certificate.validTo) } };
}

const WITHOUT = 'that needs no passphrase';

/** Null for what is malformed. */
function parsed<Value>(parse: () => Value): Value | null {
  try {
    return parse();
  } catch {
    return null;
  }
}

function belongs(certificate: X509Certificate, key: KeyObject): boolean {
  return parsed(() => certificate.checkPrivateKey(key)) === true;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown';
}
