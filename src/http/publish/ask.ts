/**
 * What a post asks for: pure reading of its path and headers, every one of them hostile. The
 * type of its content says what its body is:
 *
 *   text/…, a form, or none given   a text entry; UTF-8
 *   application/json                a json entry, kept byte for byte
 *   application/x-ndjson            a batch: each line an entry
 *   anything else                   a binary entry
 */
import type { IncomingMessage } from 'node:http';
import { isKey, KEY_RULE } from '../../protocol/key.ts';
import { type Asked, pathChannelOf, refuse } from '../request.ts';

type BodyKind = 'text' | 'json' | 'binary' | 'lines';

/** The body is one entry. */
export interface EntryAsk {
  readonly channel: string;
  readonly kind: Exclude<BodyKind, 'lines'>;
  readonly key: string | undefined;
}

/** Each line of the body is an entry, perhaps with a key of its own. */
export interface BatchAsk {
  readonly channel: string;
  readonly kind: 'lines';
}

/** UTF-8, and what is a part of it. */
const CHARSETS: ReadonlySet<string> = new Set(['utf-8', 'utf8', 'us-ascii']);
const KEY_HEADER = 'idempotency-key';

/** `channel` as the router decoded it. */
export function readPostAsk(channel: string, request: IncomingMessage): Asked<EntryAsk | BatchAsk> {
  const name = pathChannelOf(channel);
  if ('refused' in name) return name;
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding.trim().toLowerCase() !== 'identity') {
    return refuse('unsupported_content', 'send the body as it is: no Content-Encoding is understood');
  }
  const kind = kindOf(request.headers['content-type']);
  if ('refused' in kind) return kind;
  const key = keyOf(request);
  if ('refused' in key) return key;
  if (kind.ok !== 'lines') return { ok: { channel: name.ok, kind: kind.ok, key: key.ok } };
  if (key.ok === undefined) return { ok: { channel: name.ok, kind: kind.ok } };
  return refuse('bad_request', 'in a batch each line has a key of its own, as its member "key"');
}

function kindOf(contentType: string | undefined): Asked<BodyKind> {
  if (contentType === undefined) return { ok: 'text' };
  const [type = '', ...parameters] = contentType.split(';').map((part) => part.trim().toLowerCase());
  const kind = kindOfType(type);
  if (kind === 'binary') return { ok: kind };
  for (const parameter of parameters) {
    const charset = /^charset\s*=\s*"?([^"]*)"?$/.exec(parameter)?.[1];
    if (charset === undefined || CHARSETS.has(charset)) continue;
    return refuse('unsupported_content', 'text and JSON must be in UTF-8');
  }
  return { ok: kind };
}

function kindOfType(type: string): BodyKind {
  if (type === 'application/json') return 'json';
  if (type === 'application/x-ndjson') return 'lines';
  return type === '' || type.startsWith('text/') || type === 'application/x-www-form-urlencoded'
    ? 'text'
    : 'binary';
}

/** Node reads headers as Latin-1; at every other door a key is UTF-8, and it has to be the same key at all. */
function keyOf(request: IncomingMessage): Asked<string | undefined> {
  const header = request.headers[KEY_HEADER];
  if (typeof header !== 'string') return { ok: undefined };
  // Several are joined by a comma, which may as well be in a key.
  if (header.includes(',') && (request.headersDistinct[KEY_HEADER]?.length ?? 0) > 1) {
    return refuse('bad_request', 'Idempotency-Key is given more than once');
  }
  const bytes = Buffer.from(header, 'latin1');
  const key = bytes.toString();
  if (isKey(key) && bytes.equals(Buffer.from(key))) return { ok: key };
  return refuse('bad_request', `Idempotency-Key must be ${KEY_RULE}`);
}
