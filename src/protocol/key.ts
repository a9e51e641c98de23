/** Idempotency keys: what a publisher calls a message, so that a second try of it is known as one. */

/** In UTF-8. */
export const MAX_KEY_BYTES = 128;

/** The rule in words, for who got it wrong. */
export const KEY_RULE: string = `1 to ${MAX_KEY_BYTES} bytes of UTF-8`;

/** Two keys that are different text are different bytes as well: so no lone surrogates. */
export function isKey(key: string): boolean {
  const bytes = Buffer.byteLength(key);
  return bytes > 0 && bytes <= MAX_KEY_BYTES && key.isWellFormed();
}
