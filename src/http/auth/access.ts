/**
 * Who comes, and what may they do? One answer for all doors: the grant of what a request shows, or why it has none.
 *
 *   AUTH=off           everything, whatever is shown
 *   AUTH=publish-only  to listen for those who show nothing, and what a good token or key grants
 *   AUTH=required      what a good token or key grants
 */
import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { type ApiKey, find, isApiKey, parseApiKeys } from '../../api-keys.ts';
import type { Clock } from '../../clock.ts';
import type { AuthConfig } from '../../config.ts';
import { RivercastError, StartError } from '../../errors.ts';
import { ALL_CHANNELS, EVERYTHING, type Grant, LISTENING } from '../../grant.ts';
import type { Logger } from '../../logger.ts';
import { traceOf, WatchedFiles } from '../../watched-files.ts';
import { credentialOf } from './credentials.ts';
import { Jwks } from './jwks.ts';
import { readPublicKeys } from './public-keys.ts';
import { Tokens } from './tokens.ts';

export interface AccessOptions {
  readonly config: AuthConfig;
  readonly clock: Clock;
  readonly logger: Logger;
}

const NOTHING_SHOWN = new RivercastError(
  'unauthenticated',
  'a token is needed: in the header Authorization, as ?token=, or as the subprotocol access_token.<token>',
);

export class Access {
  readonly #options: AccessOptions;
  readonly #jwks: Jwks | null;
  readonly #tokens: Tokens;
  #keys: readonly ApiKey[] = [];
  /** Of the API keys; null where there are none. */
  #file: WatchedFiles | null = null;
  #changed: () => void = () => undefined;

  private constructor(options: AccessOptions) {
    const { config, clock, logger } = options;
    this.#options = options;
    this.#jwks =
      config.jwksUrl === null
        ? null
        : new Jwks({ url: config.jwksUrl, clock, logger, changed: () => this.#tokens.forget() });
    const publicKeys = config.publicKeyFile === null ? [] : readPublicKeys(config.publicKeyFile);
    this.#tokens = new Tokens({ config, publicKeys, jwks: this.#jwks, clock });
  }

  /** Rejects with StartError when a file of keys cannot be read. */
  static async open(options: AccessOptions): Promise<Access> {
    const access = new Access(options);
    const { apiKeysFile } = options.config;
    if (apiKeysFile !== null) await access.#watch(apiKeysFile);
    return access;
  }

  /** Whether everybody may do everything: then nothing that is shown is looked at. */
  get isOpen(): boolean {
    return this.#options.config.mode === 'off';
  }

  /**
   * What a request may do. Rejects with RivercastError `unauthenticated`, `token_expired`, or `auth_unavailable`.
   */
  async grantOf(headers: IncomingHttpHeaders, query: URLSearchParams): Promise<Grant> {
    if (this.isOpen) return EVERYTHING;
    const shown = credentialOf(headers, query);
    if (shown !== null) return this.check(shown);
    if (this.#options.config.mode === 'publish-only') return LISTENING;
    throw NOTHING_SHOWN;
  }

  /** What a token or an API key grants. Rejects as `grantOf` does. */
  async check(shown: string): Promise<Grant> {
    const grant = isApiKey(shown) ? this.#checkKey(shown) : await this.#tokens.check(shown);
    return this.#options.config.mode === 'publish-only' ? { ...grant, subscribe: ALL_CHANNELS } : grant;
  }

  /** `changed` is called when there are other API keys: who came with one that is there no more is told by `isRevoked`. */
  follow(changed: () => void): void {
    this.#changed = changed;
  }

  /** Whether a grant came with an API key that is not among them any more, or grants something else now. */
  isRevoked({ apiKey }: Grant): boolean {
    return apiKey !== null && !this.#keys.some(({ grant }) => grant.apiKey === apiKey);
  }

  close(): void {
    this.#jwks?.close();
    this.#file?.close();
  }

  async #watch(path: string): Promise<void> {
    const seen = await traceOf([path]);
    try {
      this.#keys = await readKeys(path);
    } catch (error) {
      throw new StartError(`API_KEYS_FILE: ${(error as Error).message}`, 2, { cause: error });
    }
    const read = (): Promise<void> => this.#readAgain(path);
    this.#file = new WatchedFiles({ paths: [path], seen, read, logger: this.#options.logger });
  }

  async #readAgain(path: string): Promise<void> {
    const { logger } = this.#options;
    try {
      this.#keys = await readKeys(path);
    } catch (error) {
      logger.error(
        { err: error },
        'the file of API keys has changed and can not be used; the old ones go on',
      );
      return;
    }
    logger.info({ keys: this.#keys.length }, 'the API keys were read anew');
    this.#changed();
  }

  #checkKey(shown: string): Grant {
    const grant = find(this.#keys, shown);
    if (grant === null) throw new RivercastError('unauthenticated', 'this API key is not known');
    if (grant.expiresMs === null || this.#options.clock.now() < grant.expiresMs) return grant;
    throw new RivercastError('token_expired', 'this API key has expired');
  }
}

async function readKeys(path: string): Promise<ApiKey[]> {
  return parseApiKeys(await readFile(path, 'utf8'));
}
