/** What a request for history asks for: pure reading of its query and headers, every one of them hostile. */
import { MAX_LAST_COUNT, type Start } from '../../protocol/start.ts';
import { type Asked, limitOf, onGapOf, pathChannelOf, placeOf } from '../request.ts';

/** One JSON object, or one line per entry as they are read. */
export type HistoryForm = 'json' | 'ndjson';

export interface HistoryAsk {
  readonly channel: string;
  readonly form: HistoryForm;
  /** Null: the newest, counted back from the end or from `before`. */
  readonly after: Start | null;
  readonly before: Start | null;
  readonly limit: number;
  readonly onGap: 'fail' | 'skip';
}

/** What there is to read it from. */
export interface HistoryQuery {
  readonly channel: string;
  readonly query: URLSearchParams;
  readonly accept: string | undefined;
  readonly nowMs: number;
}

/** A JSON answer is made whole before its first byte goes out; lines are made as they are taken. */
const MAX_LIMIT: Readonly<Record<HistoryForm, number>> = { json: 1000, ndjson: MAX_LAST_COUNT };
const LIMIT_RULE = `1 to ${MAX_LIMIT.json}, or to ${MAX_LIMIT.ndjson} with Accept: application/x-ndjson`;

export function readHistoryAsk({ channel, query, accept, nowMs }: HistoryQuery): Asked<HistoryAsk> {
  const name = pathChannelOf(channel);
  if ('refused' in name) return name;
  const form = formOf(accept);
  const after = placeOf(query, 'after', nowMs);
  if ('refused' in after) return after;
  const before = placeOf(query, 'before', nowMs);
  if ('refused' in before) return before;
  const limit = limitOf(query, { max: MAX_LIMIT[form], rule: LIMIT_RULE });
  if ('refused' in limit) return limit;
  // Unlike at a raw WebSocket a gap can be told along with the entries, so that is what is done unless asked.
  const onGap = onGapOf(query, 'skip');
  if ('refused' in onGap) return onGap;
  const ask = {
    channel: name.ok,
    form,
    after: after.ok,
    before: before.ok,
    limit: limit.ok,
    onGap: onGap.ok,
  };
  return { ok: ask };
}

/**
 * Lines are for who names them, and does not prefer JSON. Everybody else gets JSON, also one who accepts neither:
 * an answer of another type says more than a refusal.
 */
export function formOf(accept: string | undefined): HistoryForm {
  let lines = 0;
  let json = 0;
  for (const range of accept?.split(',') ?? []) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const weight = weightOf(parameters);
    if (type === 'application/x-ndjson') lines = Math.max(lines, weight);
    if (type === 'application/json') json = Math.max(json, weight);
  }
  return lines > 0 && lines >= json ? 'ndjson' : 'json';
}

function weightOf(parameters: readonly string[]): number {
  const q = parameters.find((parameter) => parameter.startsWith('q='));
  if (q === undefined) return 1;
  const weight = Number(q.slice(2));
  return weight >= 0 && weight <= 1 ? weight : 0;
}
