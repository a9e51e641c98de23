/**
 * The certificate of this server and its key: read at the start, and again when their files change or the operator
 * asks for it. Whatever replaces them (a rename, a link that is turned, a volume that is mounted anew, some of them
 * unseen by the kernel's notices) changes what their paths lead to: that is looked at every second, and has to have
 * stood still for one, since the two files are rarely replaced at once. A pair that can not be used is told of once,
 * and the one before goes on.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { background } from '../../background.ts';
import type { Clock } from '../../clock.ts';
import type { TlsFiles } from '../../config.ts';
import { StartError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';

const LOOK_MS = 1000;
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
  readonly #timer: NodeJS.Timeout;
  #current: Read;
  /** What the paths led to when they were last read, whether that could be used or not. */
  #seen: string;
  /** The same, of a change that is not a second old. */
  #changing: string | null = null;
  #work: Promise<void> = Promise.resolve();
  #isBusy = false;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #use: ((pair: Pair) => void) | null = null;

  private constructor(options: CertificateOptions, seen: string, read: Read) {
    this.#options = options;
    this.#seen = seen;
    this.#current = read;
    this.#warn();
    this.#timer = setInterval(this.#look, LOOK_MS).unref();
  }

  /** Reads the files for the first time; rejects with StartError when they can not be used. */
  static async open(options: CertificateOptions): Promise<Certificate> {
    const seen = await traceOf(options.files);
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
    this.#work = this.#work.then(async () => this.#read(await traceOf(this.#options.files)));
    return this.#work;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#use = null;
  }

  readonly #look = (): void => {
    this.#warn();
    // A file system that does not answer is asked once.
    if (this.#isBusy) return;
    this.#isBusy = true;
    const work = this.#compare().finally(() => {
      this.#isBusy = false;
    });
    background('looking at the certificate', work, this.#options.logger);
  };

  async #compare(): Promise<void> {
    const trace = await traceOf(this.#options.files);
    if (trace === this.#seen) this.#changing = null;
    else if (trace === this.#changing) await this.reload();
    else this.#changing = trace;
  }

  async #read(trace: string): Promise<void> {
    const { files, logger } = this.#options;
    this.#seen = trace;
    this.#changing = null;
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

/** What the paths lead to: another file, or the same one changed, leaves another trace. */
async function traceOf({ cert, key }: TlsFiles): Promise<string> {
  const traces = await Promise.all([cert, key].map(traceOfFile));
  return traces.join(' ');
}

async function traceOfFile(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    return codeOf(error);
  }
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
