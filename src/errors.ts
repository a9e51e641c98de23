/**
 * The one error table: what each code means at every door, and whether trying again can help.
 * `http` is the status of a refused request, `close` the WebSocket close code.
 */
import { CLOSE } from './protocol/close.ts';

const MAX_SPREAD_S = 5;

export interface ErrorRow {
  readonly http: number;
  readonly close: number;
  readonly retry: boolean;
  readonly title: string;
}

export type ErrorCode =
  | 'bad_request'
  | 'bad_channel'
  | 'bad_cursor'
  | 'unauthenticated'
  | 'token_expired'
  | 'forbidden'
  | 'not_found'
  | 'gap'
  | 'upgrade_required'
  | 'too_large'
  | 'unsupported_content'
  | 'rate_limited'
  | 'limit_reached'
  | 'overloaded'
  | 'log_unavailable'
  | 'auth_unavailable'
  | 'not_replicated'
  | 'not_synced'
  | 'draining'
  | 'too_slow'
  | 'internal';

export const ERRORS: Readonly<Record<ErrorCode, ErrorRow>> = {
  bad_request: { http: 400, close: CLOSE.badRequest, retry: false, title: 'The request is malformed' },
  bad_channel: { http: 400, close: CLOSE.badRequest, retry: false, title: 'The channel name is not allowed' },
  bad_cursor: { http: 400, close: CLOSE.badRequest, retry: false, title: 'The position is malformed' },
  unauthenticated: {
    http: 401,
    close: CLOSE.unauthenticated,
    retry: false,
    title: 'A valid token is needed',
  },
  token_expired: { http: 401, close: CLOSE.unauthenticated, retry: false, title: 'The token has expired' },
  forbidden: { http: 403, close: CLOSE.forbidden, retry: false, title: 'Not allowed' },
  not_found: { http: 404, close: CLOSE.badRequest, retry: false, title: 'No such resource' },
  gap: { http: 410, close: CLOSE.gap, retry: false, title: 'Entries after this position are gone' },
  upgrade_required: {
    http: 426,
    close: CLOSE.badRequest,
    retry: false,
    title: 'A WebSocket is expected here',
  },
  too_large: { http: 413, close: CLOSE.tooLarge, retry: false, title: 'Too large' },
  unsupported_content: {
    http: 415,
    close: CLOSE.badRequest,
    retry: false,
    title: 'This kind of content is not understood',
  },
  rate_limited: { http: 429, close: CLOSE.limitReached, retry: true, title: 'Too many messages at once' },
  limit_reached: { http: 429, close: CLOSE.limitReached, retry: true, title: 'A limit is reached' },
  overloaded: { http: 503, close: CLOSE.tryAgainLater, retry: true, title: 'The log accepts nothing' },
  log_unavailable: { http: 503, close: CLOSE.tryAgainLater, retry: true, title: 'The log does not answer' },
  auth_unavailable: {
    http: 503,
    close: CLOSE.tryAgainLater,
    retry: true,
    title: 'Tokens can not be checked at the moment',
  },
  not_replicated: {
    http: 503,
    close: CLOSE.tryAgainLater,
    retry: true,
    title: 'Stored, but not yet on enough replicas',
  },
  not_synced: { http: 503, close: CLOSE.tryAgainLater, retry: true, title: 'Stored, but not yet on disk' },
  draining: { http: 503, close: CLOSE.draining, retry: true, title: 'The server is stopping' },
  too_slow: { http: 500, close: CLOSE.tooSlow, retry: true, title: 'The subscriber read too slowly' },
  internal: { http: 500, close: CLOSE.internal, retry: true, title: 'Internal error' },
};

/**
 * Whether to try again, and then after how many seconds. Those that a limit turned away all came at once: they
 * are spread.
 */
export function retryOf(code: ErrorCode): {
  readonly retry: boolean;
  readonly retryAfter: number | undefined;
} {
  const { retry } = ERRORS[code];
  if (!retry) return { retry, retryAfter: undefined };
  return { retry, retryAfter: code === 'limit_reached' ? 1 + Math.floor(Math.random() * MAX_SPREAD_S) : 1 };
}

export class RivercastError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RivercastError';
    this.code = code;
  }
}

/** What stops a start: one clear line for the operator, and the process exit code. */
export class StartError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
    this.exitCode = exitCode;
  }
}
