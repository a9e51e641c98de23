/** Public keys from a PEM file: what tokens signed by their private halves may be signed with. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { StartError } from '../../errors.ts';

export interface PublicKey {
  readonly key: KeyObject;
  /** Of RFC 7518 and RFC 8037. */
  readonly algorithms: readonly string[];
}

const BLOCK = /-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g;
const RSA = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
/** Below this a key can be computed from what is public. */
const MIN_RSA_BITS = 2048;
const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};
const EDWARDS = ['EdDSA', 'Ed25519'];
/** All that a public key can check. */
export const PUBLIC_ALGORITHMS: readonly string[] = [...RSA, ...Object.values(CURVES), ...EDWARDS];

/** Keys, or certificates that hold them; several for a rotation. Throws StartError. */
export function readPublicKeys(path: string): PublicKey[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartError(`AUTH_PUBLIC_KEY: ${(error as Error).message}`, 2, { cause: error });
  }
  const blocks = [...text.matchAll(BLOCK)];
  if (blocks.length === 0) throw new StartError(`AUTH_PUBLIC_KEY: there is no key in PEM form in ${path}`, 2);
  return blocks.map(([block, kind]) => publicKeyOf(block, kind as string, path));
}

function publicKeyOf(block: string, kind: string, path: string): PublicKey {
  if (kind.includes('PRIVATE')) {
    throw new StartError(`AUTH_PUBLIC_KEY: ${path} holds a private key; this server needs the public one`, 2);
  }
  let key: KeyObject;
  try {
    key = createPublicKey(block);
  } catch (error) {
    throw new StartError(`AUTH_PUBLIC_KEY: ${path} holds what is no public key`, 2, { cause: error });
  }
  const algorithms = algorithmsOf(key);
  if (algorithms !== null) return { key, algorithms };
  const rule = `RSA of ${MIN_RSA_BITS} bits and more, P-256, P-384, P-521 and Ed25519`;
  throw new StartError(`AUTH_PUBLIC_KEY: ${path} holds a key that signs no tokens; ${rule} do`, 2);
}

function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): readonly string[] | null {
  if (asymmetricKeyType === 'rsa') {
    return (asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS ? RSA : null;
  }
  if (asymmetricKeyType === 'ed25519') return EDWARDS;
  const curve = CURVES[asymmetricKeyDetails?.namedCurve ?? ''];
  return asymmetricKeyType === 'ec' && curve !== undefined ? [curve] : null;
}
