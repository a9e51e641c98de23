/** The kinds of rows that the table of documented requests (operations.ts) is made of. */
import type { Role } from '../../config.ts';
import type { ErrorCode } from '../../errors.ts';
import { type JsonSchema, ref, type SchemaName } from './schemas.ts';

export type Half = Exclude<Role, 'all'>;

export interface Operation {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As the router has it. */
  readonly path: string;
  /** A name for generated code: `readHistory`. */
  readonly id: string;
  readonly group: 'Messages' | 'Channels' | 'Operations' | 'WebSockets' | 'Contracts';
  readonly summary: string;
  readonly description?: string;
  /** The half of the server that it takes; absent: it is there in every role. */
  readonly half?: Half;
  /** What a token has to allow; null: none is asked for. */
  readonly permission: 'publish' | 'subscribe' | 'admin' | null;
  readonly query?: readonly Parameter[];
  readonly headers?: readonly Parameter[];
  readonly body?: Body;
  readonly answers: readonly Answer[];
  /** How it may be refused, beside what may befall every request. */
  readonly refusals: readonly ErrorCode[];
  readonly examples: readonly Example[];
}

export interface Parameter {
  readonly name: string;
  readonly schema: JsonSchema;
  readonly description: string;
  readonly required?: boolean;
}

export interface Body {
  readonly description: string;
  /** By content type. */
  readonly content: Readonly<Record<string, JsonSchema>>;
}

export interface Answer {
  readonly status: number;
  readonly description: string;
  /** By content type; absent: it has no body. */
  readonly content?: Readonly<Record<string, JsonSchema>>;
  /** What it says beside its body, by the name of the header. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * A request and its answer, both real: test/http/contracts.test.ts sends them to a server in the order of the table,
 * which begins empty.
 */
export interface Example {
  readonly name: string;
  /** The path with its parameters. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly status: number;
  readonly type: string | null;
  /** The body of the answer: parsed, when it is JSON; its lines, when it is lines; null: another each time. */
  readonly answer: unknown;
}

export const JSON_TYPE = 'application/json';
export const LINES_TYPE = 'application/x-ndjson';
export const PROBLEM_TYPE = 'application/problem+json';
export const EVENTS_TYPE = 'text/event-stream';

export function json(status: number, schema: SchemaName, description: string): Answer {
  return { status, description, content: { [JSON_TYPE]: ref(schema) } };
}

/** A text of lines, each of them JSON: there is no other way to say so yet. */
export function lines(description: string, ...schemas: JsonSchema[]): JsonSchema {
  const each = schemas.length === 1 ? schemas[0] : { oneOf: schemas };
  return { type: 'string', description, 'x-each-line': each };
}

export const AFTER: Parameter = {
  name: 'after',
  schema: ref('Start'),
  description: 'Where to start: behind this place, or at this time',
};
const ON_GAP_VALUES = { type: 'string', enum: ['fail', 'skip'] };
export const CHANNEL_QUERY: Parameter = {
  name: 'channel',
  schema: ref('ChannelName'),
  description: 'Absent: the default channel (STREAM)',
};

export function onGap(initial: 'fail' | 'skip', description: string): Parameter {
  return { name: 'on_gap', schema: { ...ON_GAP_VALUES, default: initial }, description };
}

export function limit(max: number, initial: number): Parameter {
  const schema = { type: 'integer', minimum: 1, maximum: max, default: initial };
  return { name: 'limit', schema, description: 'How many at most' };
}
