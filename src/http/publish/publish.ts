/**
 * `POST /api/channels/:channel/messages`: an entry, or a batch of them (batch.ts), each answered once it is
 * stored.
 *
 *   guard ─▶ the ask ─▶ room ─▶ the body ─▶ an entry ─▶ Manager ─▶ 201 {"id","duplicate"}, or a problem
 *
 * What small posts have come in one read from a socket is submitted before anything is stored, so it shares a
 * batch. What is held is bounded: per connection (source.ts), by the manager's own bound, in unfinished bodies
 * (body.ts), and in the number of posts. An entry whose client is gone is stored all the same.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../../errors.ts';
import type { Grant } from '../../grant.ts';
import type { AppendResult, NewEntry } from '../../log/log.ts';
import type { Submitter } from '../../manager/batcher.ts';
import type { Manager } from '../../manager/manager.ts';
import { costOf } from '../../manager/pressure.ts';
import type { Rate, Rates } from '../../manager/rate.ts';
import type { Refusals } from '../../refusals.ts';
import type { Cause, Traced, Tracing } from '../../tracing.ts';
import { grantOf } from '../auth/permit.ts';
import { untilEmpty } from '../connections/connections.ts';
import type { Guest, Guests } from '../connections/guests.ts';
import { sendProblem } from '../problem.ts';
import type { Asked, Refusal } from '../request.ts';
import { type BatchAsk, type EntryAsk, readPostAsk } from './ask.ts';
import { Batch } from './batch.ts';
import { Bodies, type BodiesOptions } from './body.ts';
import { entryOf } from './entry.ts';
import { refusalOf, TOO_FAST } from './refusal.ts';
import { Source } from './source.ts';

/** Received and not yet answered, in all. Each takes some KiB beside its body. */
const MAX_POSTS = 10_000;
/** What a post counts for in the bound of its connection, beside its entry. */
const POST_BYTES = 2048;

export interface PublishingOptions extends BodiesOptions {
  readonly manager: Manager;
  readonly rates: Rates;
  readonly guests: Guests;
  /** A batch whose connection is idle for so long is cut. */
  readonly idleTimeoutMs: number;
  readonly tracing: Tracing;
  readonly refusals: Refusals;
}

/** At once; each may take some MiB. Those that wait for room count too, or all would begin when there is some. */
const MAX_BATCHES = 200;
/** At a stop a batch goes on for so long, its further lines refused. */
const LEAVE_MS = 2000;
/** And so long a client may take to read its answer, once everything is stored. */
const ANSWER_MS = 1000;
const CHECK_MS = 5;
const NDJSON = 'application/x-ndjson; charset=utf-8';

const STOPPING: Refusal = { code: 'draining', detail: 'this server is stopping; send this again' };

interface GrantedBatch extends BatchAsk {
  readonly rate: Rate | null;
  readonly grant: Grant;
}

type Route = { Params: { channel: string } };

export class Publishing {
  readonly #options: PublishingOptions;
  readonly #bodies: Bodies;
  readonly #sources = new WeakMap<Socket, Source>();
  readonly #batches = new Set<Batch>();
  /** The last batch that was sent on a connection, if its answer is not whole. */
  readonly #lastBatch = new WeakMap<Socket, IncomingMessage>();
  /** The spans of requests, where somebody listens. */
  readonly #traced = new WeakMap<IncomingMessage, Traced>();
  #posts = 0;
  /** Those of them that are batches; some have not begun. */
  #batchPosts = 0;
  #isLeaving = false;

  constructor(options: PublishingOptions) {
    this.#options = options;
    this.#bodies = new Bodies(options);
  }

  /** Received and not yet answered. */
  get posts(): number {
    return this.#posts;
  }

  /** Whether the request that comes on this connection is a batch, which has no end before its client says so. */
  isStreaming(socket: Socket): boolean {
    return this.#lastBatch.get(socket)?.complete === false;
  }

  /** Stops taking lines of batches; resolves when all of them are answered, or have had time to be. */
  async leave(signal: AbortSignal): Promise<void> {
    this.#isLeaving = true;
    for (const batch of this.#batches) batch.leave(STOPPING);
    await untilEmpty(this.#batches, AbortSignal.any([signal, AbortSignal.timeout(LEAVE_MS)]));
    for (const batch of this.#batches) batch.end();
  }

  /** Resolves when everything received whole is answered, or after those who read had time to take it. */
  async answered(signal: AbortSignal): Promise<void> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    while (this.#posts > this.#bodies.unfinished && !late.aborted) await delay(CHECK_MS);
  }

  async answer(request: FastifyRequest<Route>, reply: FastifyReply): Promise<FastifyReply> {
    const asked = readPostAsk(request.params.channel, request.raw);
    if ('refused' in asked) return sendProblem(reply, asked.refused);
    if (this.#posts >= MAX_POSTS) {
      const detail = `${MAX_POSTS} posts wait for an answer already; try again`;
      return sendProblem(reply, { code: 'limit_reached', detail });
    }
    const ask = asked.ok;
    const rate = this.#rateOf(request);
    if (ask.kind !== 'lines' && rate !== null && rate.take() > 0) return sendProblem(reply, TOO_FAST);
    this.#posts += 1;
    const traced = this.#trace(ask, request.raw);
    const answer =
      ask.kind === 'lines'
        ? this.#batch({ ...ask, rate, grant: grantOf(request) }, request, reply)
        : this.#one(ask, request, reply);
    return answer.finally(() => {
      this.#posts -= 1;
      traced?.end(reply.statusCode < 400 ? null : reply.statusCode);
    });
  }

  async #one(ask: EntryAsk, request: FastifyRequest<Route>, reply: FastifyReply): Promise<FastifyReply> {
    const outcome = await this.#post(ask, request.raw);
    if (outcome === null) return reply.hijack();
    if ('refused' in outcome) return sendProblem(reply, outcome.refused);
    const { id, duplicate } = outcome.ok;
    return reply
      .code(201)
      .type('application/json; charset=utf-8')
      .send(`{"id":"${id}","duplicate":${duplicate}}`);
  }

  /** Null: the client was gone before the body was whole. */
  async #post(ask: EntryAsk, raw: IncomingMessage): Promise<Asked<AppendResult> | null> {
    const source = this.#sourceOf(raw.socket);
    const read = await source.turn(() =>
      this.#bodies.read(raw, (body) => {
        const entry = entryOf(ask, body);
        if ('refused' in entry) return entry;
        return this.#submit(source, ask.channel, { entry: entry.ok, cause: this.#causeOf(raw) });
      }),
    );
    return read === null || 'refused' in read ? read : read.ok;
  }

  #submit(
    source: Source,
    channel: string,
    { entry, cause }: { readonly entry: NewEntry; readonly cause: Cause | null },
  ): Promise<Asked<AppendResult>> {
    const bytes = costOf(entry) + POST_BYTES;
    source.add(bytes);
    return new Promise((resolve) => {
      const settle = (outcome: Asked<AppendResult>): void => {
        source.settle(bytes);
        resolve(outcome);
      };
      const submitter: Submitter = {
        origin: 'http',
        isAnswered: true,
        cause,
        stored: (_entry, result) => settle({ ok: result }),
        failed: (_entry, error) => settle({ refused: refusalOf(error) }),
      };
      this.#options.manager.submit(channel, entry, submitter);
      source.pauseIfFull();
    });
  }

  async #batch(
    ask: GrantedBatch,
    request: FastifyRequest<Route>,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    if (this.#batchPosts >= MAX_BATCHES) {
      const detail = `${MAX_BATCHES} batches are being taken in, or wait to be; try again`;
      return sendProblem(reply, { code: 'limit_reached', detail });
    }
    const { raw } = request;
    this.#batchPosts += 1;
    this.#lastBatch.set(raw.socket, raw);
    try {
      await this.#answerLines(ask, raw, reply);
    } finally {
      this.#batchPosts -= 1;
      if (this.#lastBatch.get(raw.socket) === raw) this.#lastBatch.delete(raw.socket);
    }
    return reply;
  }

  /** Resolves when the answer is whole, or its client gone. */
  async #answerLines(ask: GrantedBatch, request: IncomingMessage, reply: FastifyReply): Promise<void> {
    const source = this.#sourceOf(request.socket);
    const batch = await source.turn(async () => {
      const begun = this.#begin(ask, source, request, reply);
      const guest = this.#watch(begun, ask.grant);
      await begun.taken.finally(() => guest.leave());
      return begun;
    });
    await batch.ended;
    this.#batches.delete(batch);
    // What its client goes on to send is not read for ever.
    if (batch.isDismissed) request.socket.destroySoon();
  }

  #begin(
    { channel, rate }: GrantedBatch,
    source: Source,
    request: IncomingMessage,
    reply: FastifyReply,
  ): Batch {
    const { manager, maxMessageBytes, idleTimeoutMs, incomplete, crossed, refusals } = this.#options;
    reply.hijack();
    const response = reply.raw;
    response.setTimeout(idleTimeoutMs);
    for (const [name, value] of Object.entries(reply.getHeaders())) {
      if (value !== undefined) response.setHeader(name, value);
    }
    response.writeHead(200, { 'Content-Type': NDJSON, 'Cache-Control': 'no-store' });
    response.flushHeaders();
    const batch = new Batch(request, response, {
      manager,
      source,
      channel,
      rate,
      maxMessageBytes,
      incomplete,
      crossed,
      refusals,
      cause: this.#causeOf(request),
    });
    this.#batches.add(batch);
    if (this.#isLeaving) batch.leave(STOPPING);
    return batch;
  }

  /** It may go on for days: as on any connection its token ends, and some time later so does the batch. */
  #watch(batch: Batch, grant: Grant): Guest {
    const dismiss = (code: ErrorCode, detail: string): void => {
      if (batch.isDismissed) return;
      batch.leave({ code, detail }, 'dismissed');
      setTimeout(() => batch.end(), LEAVE_MS).unref();
    };
    return this.#options.guests.watch(grant, { dismiss });
  }

  #trace({ channel }: EntryAsk | BatchAsk, request: IncomingMessage): Traced | null {
    const traced = this.#options.tracing.publish(channel, request.headers['traceparent']);
    if (traced !== null) this.#traced.set(request, traced);
    return traced;
  }

  #causeOf(request: IncomingMessage): Cause | null {
    return this.#traced.get(request)?.cause ?? null;
  }

  #rateOf(request: FastifyRequest): Rate | null {
    const { bucket } = this.#sourceOf(request.raw.socket);
    return this.#options.rates.of(bucket, grantOf(request).subject);
  }

  #sourceOf(socket: Socket): Source {
    let source = this.#sources.get(socket);
    if (source === undefined) {
      source = new Source(this.#options.manager, socket, this.#options.rates.bucket());
      this.#sources.set(socket, source);
    }
    return source;
  }
}
