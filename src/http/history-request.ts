/** What a request for history asks for: pure reading of its query and headers, every one of them hostile. */
import { CHANNEL_RULE, isChannelName } from '../channels.ts';
import { MAX_LAST_COUNT, parseStart, START_FORMS, type Start } from '../protocol/start.ts';
import { type Asked, onGapOf, refuse, startOf } from './request.ts';

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

const DEFAULT_LIMIT = 100;
/** A JSON answer is made whole before its first byte goes out; lines are made as they are taken. */
const MAX_LIMIT: Readonly<Record<HistoryForm, number>> = { json: 1000, ndjson: MAX_LAST_COUNT };
const LIMIT_PATTERN = /^[1-9][0-9]{0,6}$/;

export function readHistoryAsk({ channel, query, accept, nowMs }: HistoryQuery): Asked<HistoryAsk> {
  const name = pathChannelOf(channel);
  if ('refused' in name) return name;
  const form = formOf(accept);
  const after = query.has('after') ? startOf(query, nowMs) : { ok: null };
  if ('refused' in after) return after;
  const before = beforeOf(query, nowMs);
  if ('refused' in before) return before;
  const limit = limitOf(query, form);
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

/** The channel in a path, which the router has decoded. */
export function pathChannelOf(name: string): Asked<string> {
  if (isChannelName(name)) return { ok: name };
  return refuse('bad_channel', `a channel is ${CHANNEL_RULE}`);
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

/** Null: it is not given. */
export function beforeOf(query: URLSearchParams, nowMs: number): Asked<Start | null> {
  const values = query.getAll('before');
  if (values.length === 0) return { ok: null };
  const start = values.length === 1 ? parseStart(values[0] as string, nowMs) : null;
  if (start !== null) return { ok: start };
  return refuse('bad_cursor', `before= must be one of: ${START_FORMS}`);
}

function limitOf(query: URLSearchParams, form: HistoryForm): Asked<number> {
  const values = query.getAll('limit');
  if (values.length === 0) return { ok: DEFAULT_LIMIT };
  const limit = values.length === 1 && LIMIT_PATTERN.test(values[0] as string) ? Number(values[0]) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT[form]) return { ok: limit };
  const { json, ndjson } = MAX_LIMIT;
  return refuse(
    'bad_request',
    `limit= must be 1 to ${json}, or to ${ndjson} with Accept: application/x-ndjson`,
  );
}
