/**
 * `GET /api/channels/:channel/messages`: what a channel holds, page by page.
 *
 * Reading takes turns with everybody else's: a few pages are made at a time. What is made and not yet taken by
 * its client is bounded: per answer (a page has a size, lines are made as they are taken), in all (beyond a
 * number of bytes, and of answers, the next is refused with 429), and in time (a client that takes nothing, or takes so
 * long that its token is over).
 */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import { RivercastError } from '../../errors.ts';
import type { Grant } from '../../grant.ts';
import type { Log } from '../../log/log.ts';
import type { Logger } from '../../logger.ts';
import type { EntryId } from '../../protocol/id.ts';
import { Turnstile } from '../../turnstile.ts';
import { grantOf, isAnonymous } from '../auth/permit.ts';
import type { Guests } from '../connections/guests.ts';
import { gapProblem, isRefused } from '../gap.ts';
import { sendProblem } from '../problem.ts';
import { targetOf } from '../request.ts';
import { type Answered, cacheControl, immutableFor, isUnchanged, type Keeping, pinned } from './cache.ts';
import { linesOf } from './lines.ts';
import { readPage } from './page.ts';
import { isReached, locateRange, type Piece, type Range, readRange } from './read.ts';
import { type HistoryAsk, readHistoryAsk } from './request.ts';

/** One at a time keeps a store about busy; more let nobody wait for somebody else's long walk. */
const MAX_READING = 4;
const MAX_ANSWERS = 1000;
const MAX_PENDING_BYTES = 64 * 1024 * 1024;
/** What an answer in lines has made and not sent: a piece or two, encoded, and what the socket holds. */
const LINES_BYTES = 1024 * 1024;
const LINES_AHEAD_BYTES = 64 * 1024;
const NDJSON_TYPE = 'application/x-ndjson';

export interface HistoryOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly guests: Guests;
  /** A client that takes nothing for so long is cut. */
  readonly idleTimeoutMs: number;
  /** How long the log keeps an entry of the channel. */
  readonly maxAgeMs: (channel: string) => number;
}

type Route = { Params: { channel: string } };

/** One request, read and let in. */
interface Visit {
  readonly ask: HistoryAsk;
  readonly request: FastifyRequest<Route>;
  readonly reply: FastifyReply;
  readonly keeping: Keeping;
  /** Aborts when the client is gone. */
  readonly gone: AbortSignal;
}

/** A range whose first piece was read. */
interface Opened {
  readonly range: Range;
  readonly isClosed: boolean;
  readonly first: Piece | undefined;
  readonly next: () => Promise<Piece | undefined>;
}

export class History {
  readonly #options: HistoryOptions;
  readonly #reading = new Turnstile(MAX_READING);
  #answers = 0;
  #pendingBytes = 0;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** Rejects with RivercastError: what `Log.read` rejects with, or `limit_reached`. */
  async answer(request: FastifyRequest<Route>, reply: FastifyReply): Promise<FastifyReply> {
    const { clock, maxAgeMs, idleTimeoutMs } = this.#options;
    const { query } = targetOf(request.raw);
    const { accept, authorization } = request.headers;
    const nowMs = clock.now();
    const asked = readHistoryAsk({ channel: request.params.channel, query, accept, nowMs });
    if ('refused' in asked) return sendProblem(reply, asked.refused);
    const gone = this.#enter(reply.raw, grantOf(request));
    reply.raw.setTimeout(idleTimeoutMs);
    const isPrivate = authorization !== undefined || !isAnonymous(request);
    const keeping = { nowMs, maxAgeMs: maxAgeMs(asked.ok.channel), isPrivate };
    const visit = { ask: asked.ok, request, reply, keeping, gone };
    return asked.ok.form === 'ndjson' ? this.#lines(visit) : this.#page(visit);
  }

  async #page({ ask, request, reply, keeping, gone }: Visit): Promise<FastifyReply> {
    const { log } = this.#options;
    const read = await this.#reading.pass(async () =>
      gone.aborted ? null : readPage(log, ask, await locateRange(log, ask), gone),
    );
    if (read === null || gone.aborted) return reply.hijack();
    if ('refused' in read) return sendProblem(reply, gapProblem(read.refused));
    const { page } = read;
    const seconds = immutableFor(ask, page, keeping);
    // A page that may be kept differs from its copies by the tip alone, which says where the channel was then.
    const etag = seconds === 0 ? `"${page.bodyTag}"` : `W/"${page.rangeTag}"`;
    setCaching(reply, cacheControl(seconds, keeping), etag);
    if (isUnchanged(request.headers['if-none-match'], etag)) return reply.code(304).send();
    this.#hold(page.body.length, reply.raw);
    return reply.type('application/json; charset=utf-8').send(page.body);
  }

  async #lines(visit: Visit): Promise<FastifyReply> {
    const { ask, request, reply, keeping, gone } = visit;
    this.#hold(LINES_BYTES, reply.raw);
    const opened = await this.#open(ask, gone);
    if (opened === null || gone.aborted) return reply.hijack();
    const { range, first, isClosed } = opened;
    if (first?.kind === 'gap' && isRefused(first.gap, ask.onGap)) {
      return sendProblem(reply, gapProblem(first.gap));
    }
    const seconds = immutableFor(ask, answeredBy(first, isClosed), keeping);
    const etag = seconds === 0 ? null : `W/"${rangeTag(ask, range)}"`;
    setCaching(reply, cacheControl(seconds, keeping), etag);
    if (etag !== null && isUnchanged(request.headers['if-none-match'], etag)) return reply.code(304).send();
    const stream = request.method === 'HEAD' ? Readable.from([]) : this.#stream(ask, opened);
    return reply.type(`${NDJSON_TYPE}; charset=utf-8`).send(stream);
  }

  /** Reads the first piece, before a byte goes out, so that what is wrong is told by the status. */
  async #open(ask: HistoryAsk, gone: AbortSignal): Promise<Opened | null> {
    const range = await this.#reading.pass(async () =>
      gone.aborted ? null : locateRange(this.#options.log, ask),
    );
    if (range === null) return null;
    const isClosed = await this.#isClosed(ask, range);
    const pieces = readRange(this.#options.log, ask, range, gone);
    const next = async (): Promise<Piece | undefined> => {
      const { value } = await this.#reading.pass(() => pieces.next());
      return value ?? undefined;
    };
    return { range, isClosed, first: await next(), next };
  }

  #stream(ask: HistoryAsk, { range, first, next }: Opened): Readable {
    const { log, logger } = this.#options;
    const tip = async (): Promise<EntryId> => (await log.bounds(ask.channel)).tip;
    const lines = linesOf({ next: startingWith(first, next), tip }, ask, range);
    const stream = Readable.from(lines, { objectMode: false, highWaterMark: LINES_AHEAD_BYTES });
    stream.on('error', (error) => logger.warn({ err: error }, 'a history was cut short'));
    return stream;
  }

  /** Whether nothing can be added any more before the end of the range. */
  async #isClosed({ channel, after }: HistoryAsk, { until }: Range): Promise<boolean> {
    const cursor = pinned(after);
    if (cursor === null || until === null) return false;
    const { tip, epoch, tipOrdinal } = await this.#options.log.bounds(channel);
    return epoch === cursor.epoch && isReached(until, { id: tip, epoch, ordinal: tipOrdinal });
  }

  #enter(raw: ServerResponse, grant: Grant): AbortSignal {
    if (this.#answers >= MAX_ANSWERS) {
      throw new RivercastError('limit_reached', `${MAX_ANSWERS} histories are being read already; try again`);
    }
    const controller = new AbortController();
    this.#answers += 1;
    // There is no way to say why in the middle of an answer: that it is not whole has to do.
    const guest = this.#options.guests.watch(grant, { dismiss: () => raw.destroy() });
    raw.once('close', () => {
      this.#answers -= 1;
      guest.leave();
      controller.abort();
    });
    return controller.signal;
  }

  /** Counts bytes until the connection has taken them, or is gone. */
  #hold(bytes: number, raw: ServerResponse): void {
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > MAX_PENDING_BYTES) {
      throw new RivercastError('limit_reached', 'too much history waits to be taken by others; try again');
    }
    this.#pendingBytes += bytes;
    raw.once('close', () => {
      this.#pendingBytes -= bytes;
    });
  }
}

function setCaching(reply: FastifyReply, control: string, etag: string | null): void {
  reply.header('Cache-Control', control).header('Vary', 'Accept, Origin');
  reply.header('X-Content-Type-Options', 'nosniff');
  if (etag !== null) reply.header('ETag', etag);
}

/** What can be said of an answer by its first piece. */
function answeredBy(first: Piece | undefined, isComplete: boolean): Answered {
  if (first?.kind !== 'entries') return { epoch: null, hasGap: true, oldest: null, isComplete };
  return { epoch: first.epoch, hasGap: false, oldest: first.entries[0]?.id ?? null, isComplete };
}

/** Lines are tagged before they are made: by what makes them what they are. */
function rangeTag({ limit }: HistoryAsk, { start, until }: Range): string {
  const what = ['lines', start.epoch, start.id, until, limit];
  return createHash('sha256').update(JSON.stringify(what)).digest('base64url');
}

function startingWith<T>(first: T | undefined, next: () => Promise<T | undefined>): typeof next {
  let isFirst = true;
  return async () => {
    if (!isFirst) return next();
    isFirst = false;
    return first;
  };
}
