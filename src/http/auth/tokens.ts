/**
 * JSON Web Tokens (RFC 7519): whether one is good, and what it grants. Their signatures are checked by `jose`; which
 * keys may have made one is decided here, by its algorithm and the name of its key:
 *
 *   HS256          the secrets of AUTH_HS256_SECRET
 *   RS, PS, ES, Ed the keys of AUTH_PUBLIC_KEY, then those of AUTH_JWKS_URL
 *
 * A secret is never a key of the second kind, nor the other way round; any other algorithm, `none` among them, is
 * refused.
 */
import type { KeyObject, webcrypto } from 'node:crypto';
import {
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
  type ProtectedHeaderParameters,
} from 'jose';
import type { Clock } from '../../clock.ts';
import type { AuthConfig } from '../../config.ts';
import { RivercastError } from '../../errors.ts';
import type { Grant } from '../../grant.ts';
import { grantOf } from './claims.ts';
import type { Jwks } from './jwks.ts';
import { PUBLIC_ALGORITHMS, type PublicKey } from './public-keys.ts';

/** Clocks of others may be off by so much; an open connection outlives its token by as much. */
export const GRACE_MS = 5000;
/** A header of a request has room for twice that. */
const MAX_TOKEN_LENGTH = 8192;
/** Good tokens of requests that come with the same one again and again. */
const MAX_REMEMBERED = 1000;
const MAX_REMEMBERED_LENGTH = 2048;

export interface TokensOptions {
  readonly config: AuthConfig;
  readonly publicKeys: readonly PublicKey[];
  readonly jwks: Jwks | null;
  readonly clock: Clock;
}

type Key = KeyObject | Uint8Array | webcrypto.CryptoKey;

export class Tokens {
  readonly #options: TokensOptions;
  readonly #secrets: readonly { readonly kid: string | null; readonly key: Uint8Array }[];
  readonly #rules: JWTVerifyOptions;
  #remembered = new Map<string, Grant>();

  constructor(options: TokensOptions) {
    const { secrets, audience, issuer } = options.config;
    this.#options = options;
    this.#secrets = secrets.map(({ kid, secret }) => ({ kid, key: Buffer.from(secret) }));
    this.#rules = {
      clockTolerance: GRACE_MS / 1000,
      ...(audience.length === 0 ? {} : { audience: [...audience] }),
      ...(issuer === null ? {} : { issuer }),
    };
  }

  /**
   * What a token grants. Rejects with RivercastError `unauthenticated`, `token_expired`, or `auth_unavailable` when
   * its keys can not be had.
   */
  async check(token: string): Promise<Grant> {
    const now = this.#options.clock.now();
    const remembered = this.#remembered;
    const known = remembered.get(token);
    if (known !== undefined && (known.expiresMs === null || now < known.expiresMs)) return known;
    if (token.length > MAX_TOKEN_LENGTH) throw refused(`a token has at most ${MAX_TOKEN_LENGTH} characters`);
    const grant = grantOf(await this.#claimsOf(token, headerOf(token)));
    // In what counted when it was begun: the keys may have been exchanged meanwhile.
    remember(remembered, token, grant);
    return grant;
  }

  /** Other keys are in use: what was good may be so no more. */
  forget(): void {
    this.#remembered = new Map();
  }

  async #claimsOf(token: string, { alg, kid }: ProtectedHeaderParameters): Promise<JWTPayload> {
    const claims = await this.#claimsBy(token, alg ?? '', kid);
    if (claims !== null) return claims;
    throw refused('no key of this server has signed the token');
  }

  /** Null: no key has signed it. */
  async #claimsBy(token: string, alg: string, kid: string | undefined): Promise<JWTPayload | null> {
    if (alg === 'HS256') return this.#tryKeys(token, alg, this.#secretsOf(kid));
    if (!PUBLIC_ALGORITHMS.includes(alg)) {
      throw refused('the token is signed by an algorithm that is not accepted');
    }
    const { publicKeys, jwks } = this.#options;
    const own = publicKeys.filter(({ algorithms }) => algorithms.includes(alg)).map(({ key }) => key);
    const claims = await this.#tryKeys(token, alg, own);
    return claims !== null || jwks === null ? claims : this.#checkByJwks(token, alg, jwks);
  }

  /** A secret that has the token's name, else all that have none. */
  #secretsOf(kid: string | undefined): Key[] {
    const named = this.#secrets.filter((secret) => kid !== undefined && secret.kid === kid);
    const tried =
      named.length > 0 ? named : this.#secrets.filter((secret) => secret.kid === null || kid === undefined);
    return tried.map(({ key }) => key);
  }

  async #checkByJwks(token: string, alg: string, jwks: Jwks): Promise<JWTPayload | null> {
    try {
      return await this.#tryJwks(token, alg, jwks);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw reasonOf(error);
    }
    // It may be signed by a key that is new.
    if (!(await jwks.refresh())) return null;
    try {
      return await this.#tryJwks(token, alg, jwks);
    } catch (error) {
      throw reasonOf(error);
    }
  }

  async #tryJwks(token: string, alg: string, jwks: Jwks): Promise<JWTPayload | null> {
    const keys = await jwks.keys();
    try {
      return (await jwtVerify(token, keys, this.#rulesFor(alg))).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      const matching: webcrypto.CryptoKey[] = [];
      for await (const key of error) matching.push(key);
      return this.#tryKeys(token, alg, matching);
    }
  }

  /** By the first that has signed it. */
  async #tryKeys(token: string, alg: string, keys: readonly Key[]): Promise<JWTPayload | null> {
    for (const key of keys) {
      try {
        return (await jwtVerify(token, key, this.#rulesFor(alg))).payload;
      } catch (error) {
        if (isOfItsClaims(error)) throw reasonOf(error);
      }
    }
    return null;
  }

  #rulesFor(alg: string): JWTVerifyOptions {
    return { ...this.#rules, algorithms: [alg], currentDate: new Date(this.#options.clock.now()) };
  }
}

function remember(remembered: Map<string, Grant>, token: string, grant: Grant): void {
  if (token.length > MAX_REMEMBERED_LENGTH) return;
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(token, grant);
}

function headerOf(token: string): ProtectedHeaderParameters {
  try {
    return decodeProtectedHeader(token);
  } catch {
    throw refused('this is no token');
  }
}

/** Of a token, and not of the key that was tried: another one may have signed it. */
function isOfItsClaims(error: unknown): boolean {
  return error instanceof errors.JOSEError && !(error instanceof errors.JWSSignatureVerificationFailed);
}

/** Never more of a token than the name of a claim. */
function reasonOf(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return new RivercastError('token_expired', 'the token has expired');
  if (error instanceof errors.JWTClaimValidationFailed) {
    const isEarly = error.claim === 'nbf' && error.reason === 'check_failed';
    return refused(isEarly ? 'the token is not valid yet' : `the claim ${error.claim} is not as it must be`);
  }
  if (error instanceof RivercastError) return error;
  // Also when the key it names can not be used: one that is too short, or no point of its curve.
  return refused('no key of this server has signed the token');
}

function refused(detail: string): RivercastError {
  return new RivercastError('unauthenticated', detail);
}
