/** WebSocket close codes Rivercast sends, and the close reason that lets any client resume. */

export const CLOSE: {
  readonly normal: 1000;
  readonly goingAway: 1001;
  readonly protocolError: 1002;
  readonly unsupported: 1003;
  readonly invalidPayload: 1007;
  readonly policyViolation: 1008;
  readonly tooLarge: 1009;
  readonly internal: 1011;
  readonly draining: 1012;
  readonly tryAgainLater: 1013;
  readonly badRequest: 4400;
  readonly unauthenticated: 4401;
  readonly forbidden: 4403;
  readonly tooSlow: 4408;
  readonly gap: 4410;
  readonly limitReached: 4429;
} = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupported: 1003,
  invalidPayload: 1007,
  policyViolation: 1008,
  tooLarge: 1009,
  internal: 1011,
  draining: 1012,
  tryAgainLater: 1013,
  badRequest: 4400,
  unauthenticated: 4401,
  forbidden: 4403,
  tooSlow: 4408,
  gap: 4410,
  limitReached: 4429,
};

/** RFC 6455 5.5: a control frame carries at most 125 bytes, two of them the code. */
const MAX_REASON_BYTES = 123;

/** `cursor=<cursor>`: what every server close of a single-channel subscriber says. */
export function cursorReason(cursor: string): string {
  return `cursor=${cursor}`;
}

/** `text` cut to what a close frame can carry, never inside a character. */
export function closeReason(text: string): string {
  if (Buffer.byteLength(text) <= MAX_REASON_BYTES) return text;
  let cut = '';
  let bytes = 0;
  for (const char of text) {
    bytes += Buffer.byteLength(char);
    if (bytes > MAX_REASON_BYTES) break;
    cut += char;
  }
  return cut;
}
