/** Spans of what is published, appended and delivered, as somebody who brings an SDK gets them. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import {
  type Attributes,
  type Context,
  type Link,
  type Span,
  type SpanContext,
  type SpanOptions,
  type SpanStatus,
  type TimeInput,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import { GatedLog } from '../support/gated-log.ts';
import { post } from '../support/posts.ts';
import { TestServer } from '../support/running-server.ts';
import { until } from '../support/within.ts';

const PATH = '/api/channels/local-q/messages';
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const TEXT = { 'Content-Type': 'text/plain' };

/** The least that the API asks of an SDK: spans that are kept. */
class KeptSpan implements Span {
  readonly name: string;
  readonly parent: SpanContext | undefined;
  readonly links: readonly Link[];
  readonly attributes: Attributes;
  readonly startTime: TimeInput | undefined;
  status: SpanStatus | null = null;
  hasEnded = false;
  readonly #context: SpanContext;

  constructor(name: string, { attributes = {}, links = [], startTime }: SpanOptions, parent?: SpanContext) {
    this.name = name;
    this.parent = parent;
    this.links = links;
    this.attributes = { ...attributes };
    this.startTime = startTime;
    const traceId = parent?.traceId ?? hex(32);
    this.#context = { traceId, spanId: hex(16), traceFlags: 1 };
  }

  spanContext(): SpanContext {
    return this.#context;
  }

  end(): void {
    assert.equal(this.hasEnded, false);
    this.hasEnded = true;
  }

  setStatus(status: SpanStatus): this {
    this.status = status;
    return this;
  }

  setAttribute(key: string, value: string): this {
    this.attributes[key] = value;
    return this;
  }

  isRecording(): boolean {
    return true;
  }

  setAttributes(): this {
    return this;
  }

  addEvent(): this {
    return this;
  }

  addLink(): this {
    return this;
  }

  addLinks(): this {
    return this;
  }

  updateName(): this {
    return this;
  }

  recordException(): void {}
}

class Kept implements TracerProvider {
  readonly spans: KeptSpan[] = [];

  getTracer(): Tracer {
    return {
      startSpan: (name: string, options: SpanOptions = {}, context?: Context) => {
        const parent = context === undefined ? undefined : trace.getSpanContext(context);
        const span = new KeptSpan(name, options, parent);
        this.spans.push(span);
        return span;
      },
      startActiveSpan: () => assert.fail('no span is active here'),
    };
  }

  named(name: string): KeptSpan[] {
    return this.spans.filter((span) => span.name === `rivercast ${name}`);
  }
}

function hex(digits: number): string {
  return Array.from({ length: digits }, () => '123456789abcdef'[Math.floor(Math.random() * 15)]).join('');
}

function isChildOf(span: KeptSpan | undefined, parent: KeptSpan | undefined): void {
  assert.ok(parent);
  assert.equal(span?.parent?.spanId, parent.spanContext().spanId);
}

/** As an SDK registers itself. */
function listen(): Kept {
  const kept = new Kept();
  assert.ok(trace.setGlobalTracerProvider(kept));
  return kept;
}

afterEach(() => trace.disable());

test('what one publishes over HTTP is one trace, from the caller to its first delivery', async () => {
  const kept = listen();
  await using server = await TestServer.start({ TRACING: 'on' });
  await using subscriber = await server.subscriber();
  const headers = { ...TEXT, traceparent: `00-${TRACE}-${PARENT}-01` };
  assert.equal((await post(server, 'hello', { path: PATH, headers })).status, 201);
  await subscriber.take(1);
  await until(
    'all spans have ended',
    () => kept.spans.length === 3 && kept.spans.every((span) => span.hasEnded),
  );
  const [published, appended, delivered] = ['publish', 'append', 'deliver'].map(
    (name) => kept.named(name)[0] as KeptSpan,
  );
  assert.deepEqual([published?.parent?.traceId, published?.parent?.spanId], [TRACE, PARENT]);
  isChildOf(appended, published);
  isChildOf(delivered, appended);
  for (const span of kept.spans) {
    assert.equal(span.spanContext().traceId, TRACE);
    assert.equal(span.attributes['messaging.destination.name'], 'local-q');
    assert.equal(span.status, null);
  }
  assert.equal(appended?.attributes['messaging.batch.message_count'], 1);
  assert.ok(Math.abs(Number(delivered?.startTime) - Date.now()) < 5000);
});

test('a batch of several has links to what it comes from, and no span is made for a message', async () => {
  const kept = listen();
  const log = new GatedLog();
  await using server = await TestServer.start({ TRACING: 'on' }, log);
  await using publisher = await server.publisher();
  log.hold('append');
  publisher.send('first');
  await until('it is in flight', () => log.running('append') === 1);
  const traces = [hex(32), hex(32)];
  const posting = traces.map((id) =>
    post(server, 'x', { path: PATH, headers: { ...TEXT, traceparent: `00-${id}-${PARENT}-01` } }),
  );
  for (let n = 0; n < 100; n++) publisher.send('x');
  await until('all have come', () => server.stats.unstoredBytes > 100 * 128 && server.stats.posts === 2);
  log.release('append');
  await Promise.all(posting);
  const spans = kept.named('append');
  assert.ok(spans.length <= 4, `${spans.length}`);
  const links = spans.flatMap((span) => span.links.map(({ context }) => context.traceId));
  const parents = spans.map(({ parent }) => parent?.traceId);
  for (const id of traces) assert.ok(links.includes(id) || parents.includes(id));
});

test('a failure is in the span, by its code', async () => {
  const kept = listen();
  await using server = await TestServer.start({ TRACING: 'on', MAX_MESSAGE_BYTES: '10' });
  await post(server, 'far too long for that', { path: PATH, headers: TEXT });
  await until('the span has ended', () => kept.spans.every((span) => span.hasEnded));
  assert.deepEqual(
    kept.named('publish').map(({ attributes }) => attributes['error.type']),
    ['413'],
  );
  assert.deepEqual(kept.named('append'), []);
});

test('what is no trace begins one', async () => {
  const kept = listen();
  await using server = await TestServer.start({ TRACING: 'on' });
  const wrong = [
    'nonsense',
    `00-${'0'.repeat(32)}-${PARENT}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `ff-${TRACE}-${PARENT}-01`,
  ];
  for (const traceparent of wrong) await post(server, 'x', { path: PATH, headers: { ...TEXT, traceparent } });
  const parents = kept.named('publish').map(({ parent }) => parent);
  assert.deepEqual(
    parents,
    wrong.map(() => undefined),
  );
});

test('without an SDK nothing is remembered, and that is said once', async () => {
  const said: string[] = [];
  await using server = await TestServer.start({ TRACING: 'on', LOG_LEVEL: 'warn' }, undefined, said);
  await using subscriber = await server.subscriber();
  for (let n = 0; n < 3; n++) await post(server, 'x', { path: PATH, headers: TEXT });
  await subscriber.take(3);
  assert.equal(said.filter((line) => line.includes('no SDK')).length, 1);
});

test('TRACING=off asks no SDK for anything', async () => {
  const kept = listen();
  await using server = await TestServer.start();
  await using subscriber = await server.subscriber();
  await post(server, 'x', { path: PATH, headers: TEXT });
  await subscriber.take(1);
  assert.deepEqual(kept.spans, []);
});
