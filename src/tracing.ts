/**
 * Spans for whoever brought an SDK of OpenTelemetry into the process; without one the API does nothing.
 *
 *   publish (a request over HTTP) ─▶ append (a batch) ─▶ deliver (from the arrival of what came to its first write)
 *
 * A batch holds what many published, and a pass delivers several batches, so there is one span for each of them and
 * none for a message. One that has a single cause is its child; with several it has links to them, MAX_LINKS at most.
 * A log keeps no traces: a delivery knows the batch that it delivers where both are in one process.
 */
import {
  type Attributes,
  type Context,
  INVALID_TRACEID,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { RivercastError } from './errors.ts';

/** What a span comes from. */
export type Cause = SpanContext;

/** A span under way. */
export interface Traced {
  readonly cause: Cause;
  /** `error`: what failed, or the status of a refusal; null: nothing. */
  end(error: unknown): void;
}

/** A batch under way. */
export interface TracedBatch {
  /** `lastId`: of the entries that are stored now; null: none. */
  end(lastId: string | null, error: unknown): void;
}

/** What a pass is about to deliver. */
export interface Delivery {
  readonly channel: string;
  readonly lastId: string;
  /** For so long it has been here. */
  readonly waitedMs: number;
  /** Whether the entry with this id is delivered by now, or will be by this pass. */
  readonly reaches: (id: string) => boolean;
}

/** Each returns null where nobody listens. */
export interface Tracing {
  publish(channel: string, traceparent: string | string[] | undefined): Traced | null;
  append(
    channel: string,
    entries: number,
    submitters: readonly { readonly cause?: Cause | null | undefined }[],
  ): TracedBatch | null;
  deliver(delivery: Delivery): Traced | null;
}

export const NO_TRACING: Tracing = { publish: () => null, append: () => null, deliver: () => null };

const MAX_LINKS = 32;
/** Batches that no delivery was seen of: without subscribers there is none. */
const MAX_REMEMBERED = 256;
const TRACEPARENT = /^[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:-|$)/;

/** A batch whose entries may be delivered here. */
interface Appended {
  readonly channel: string;
  readonly lastId: string;
  readonly cause: Cause;
}

export class SpanTracing implements Tracing {
  readonly #tracer = trace.getTracer('rivercast');
  /** Told when a span turns out to be nobody's, the first time. */
  #unheard: (() => void) | null;
  /** Oldest first. */
  #appended: Appended[] = [];

  /** `unheard`: called once, if nobody listens. */
  constructor(unheard: () => void) {
    this.#unheard = unheard;
  }

  publish(channel: string, traceparent: string | string[] | undefined): Traced | null {
    const parent = typeof traceparent === 'string' ? parentOf(traceparent) : null;
    return this.#start('rivercast publish', SpanKind.SERVER, attributesOf(channel), {
      causes: parent === null ? [] : [parent],
    });
  }

  append(
    channel: string,
    entries: number,
    submitters: readonly { readonly cause?: Cause | null | undefined }[],
  ): TracedBatch | null {
    const attributes = { ...attributesOf(channel), 'messaging.batch.message_count': entries };
    const span = this.#start('rivercast append', SpanKind.PRODUCER, attributes, {
      causes: causesOf(submitters),
    });
    if (span === null) return null;
    return {
      end: (lastId, error) => {
        if (lastId !== null) this.#remember({ channel, lastId, cause: span.cause });
        span.end(error);
      },
    };
  }

  deliver({ channel, lastId, waitedMs, reaches }: Delivery): Traced | null {
    const causes: Cause[] = [];
    this.#appended = this.#appended.filter((one) => {
      if (one.channel !== channel || !reaches(one.lastId)) return true;
      if (causes.length < MAX_LINKS) causes.push(one.cause);
      return false;
    });
    const attributes = { ...attributesOf(channel), 'rivercast.last_id': lastId };
    const startTime = Date.now() - waitedMs;
    return this.#start('rivercast deliver', SpanKind.CONSUMER, attributes, { causes, startTime });
  }

  #remember(appended: Appended): void {
    this.#appended.push(appended);
    if (this.#appended.length > MAX_REMEMBERED) this.#appended.shift();
  }

  #start(
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    { causes, startTime }: { readonly causes: readonly Cause[]; readonly startTime?: number },
  ): Traced | null {
    const [only, another] = causes;
    const isChild = only !== undefined && another === undefined;
    const context: Context = isChild ? trace.setSpanContext(ROOT_CONTEXT, only) : ROOT_CONTEXT;
    const links: Link[] = isChild ? [] : causes.map((cause) => ({ context: cause }));
    const options = { kind, attributes, links, ...(startTime === undefined ? {} : { startTime }) };
    const span = this.#tracer.startSpan(name, options, context);
    const cause = span.spanContext();
    if (cause.traceId !== INVALID_TRACEID) return { cause, end: (error) => end(span, error) };
    this.#unheard?.();
    this.#unheard = null;
    return null;
  }
}

function end(span: Span, error: unknown): void {
  if (error !== null) {
    const code = typeof error === 'number' ? `${error}` : codeOf(error);
    span.setStatus({ code: SpanStatusCode.ERROR, message: code });
    span.setAttribute('error.type', code);
  }
  span.end();
}

function codeOf(error: unknown): string {
  return error instanceof RivercastError ? error.code : 'internal';
}

function attributesOf(channel: string): Attributes {
  return { 'messaging.system': 'rivercast', 'messaging.destination.name': channel };
}

/** Each once; those of one request came together. */
function causesOf(submitters: readonly { readonly cause?: Cause | null | undefined }[]): Cause[] {
  const causes = new Set<Cause>();
  for (const { cause } of submitters) {
    if (cause !== undefined && cause !== null) causes.add(cause);
    if (causes.size >= MAX_LINKS) break;
  }
  return [...causes];
}

/** What a `traceparent` header names (W3C Trace Context); null: nothing that can be a span. */
function parentOf(traceparent: string): Cause | null {
  const [, traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(traceparent) ?? [];
  if (traceparent.startsWith('ff') || /^0*$/.test(traceId) || /^0*$/.test(spanId)) return null;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
}
