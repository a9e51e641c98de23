/** Tokens as an identity provider would make them, and as somebody else would. */
import { type KeyObject, webcrypto } from 'node:crypto';
import { SignJWT } from 'jose';

export const SECRET = 'a-secret-of-the-tests-that-is-long-enough-to-be-one';
export const AUDIENCE = 'rivercast-test';
export const ISSUER = 'https://issuer.example';

/** What the servers of these tests are told. */
export const REQUIRED: Readonly<Record<string, string>> = {
  AUTH_HS256_SECRET: SECRET,
  AUTH_AUDIENCE: AUDIENCE,
  AUTH_ISSUER: ISSUER,
};

export interface TokenOptions {
  readonly alg?: string;
  readonly kid?: string;
  readonly key?: KeyObject | Uint8Array | webcrypto.CryptoKey;
}

/** With the audience and the issuer that are asked for, and an hour to go, unless `claims` say otherwise. */
export function token(
  claims: object,
  { alg = 'HS256', kid, key = Buffer.from(SECRET) }: TokenOptions = {},
): Promise<string> {
  const all = { aud: AUDIENCE, iss: ISSUER, exp: seconds(3600), ...claims };
  return new SignJWT(all).setProtectedHeader({ alg, ...(kid === undefined ? {} : { kid }) }).sign(key);
}

/** A point in time as tokens have it. */
export function seconds(fromNow: number): number {
  return Date.now() / 1000 + fromNow;
}

/** A token as it comes with no signature at all: `alg` is `none`. */
export function unsigned(claims: object): string {
  const all = { aud: AUDIENCE, iss: ISSUER, exp: seconds(3600), ...claims };
  return `${part({ alg: 'none' })}.${part(all)}.`;
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
