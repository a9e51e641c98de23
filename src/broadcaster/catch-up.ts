/**
 * Reads older entries back from the log for subscribers that fell off the ring. Reads are shared: whoever is
 * at the same cursor waits for the same read and writes the same bytes. A few run at a time, each the size of
 * one write; everybody else waits in a queue that holds no bytes.
 */
import { background } from '../background.ts';
import type { Log, Page, PageLimits } from '../log/log.ts';
import type { Logger } from '../logger.ts';
import { type Cursor, formatCursor } from '../protocol/cursor.ts';
import { itemsOf } from './block.ts';
import type { Budget, Holding } from './budget.ts';
import { Range } from './range.ts';
import type { Subscriber } from './subscriber.ts';
import type { Fetcher, Tail } from './tail.ts';

/** More would only make each slower: one read at a time keeps a store about busy. */
const MAX_READS = 4;
const MAX_RANGE_ENTRIES = 8192;
const RETRY_MS = 200;

interface Request {
  readonly key: string;
  readonly tail: Tail;
  readonly cursor: Cursor;
  /** The ring's next number when the read was asked for: whether something came meanwhile. */
  readonly ringNo: number;
  readonly waiting: Subscriber[];
}

interface CatchUpOptions {
  readonly log: Log;
  readonly budget: Budget;
  readonly logger: Logger;
  /** Payload bytes of one range; about what one write carries. */
  readonly rangeBytes: number;
}

export class CatchUp implements Fetcher {
  readonly #options: CatchUpOptions;
  readonly #requests = new Map<string, Request>();
  readonly #queue: Request[] = [];
  readonly #ranges = new Map<string, Range>();
  readonly #limits: PageLimits;
  readonly #timers = new Set<NodeJS.Timeout>();
  #reading = 0;
  #closed = false;
  reads = 0;

  constructor(options: CatchUpOptions) {
    this.#options = options;
    this.#limits = { maxEntries: MAX_RANGE_ENTRIES, maxBytes: options.rangeBytes };
  }

  get limits(): PageLimits {
    return this.#limits;
  }

  /** Calls `subscriber.resume` with the entries after its cursor, as soon as they are here. */
  request(tail: Tail, subscriber: Subscriber): void {
    const { cursor } = subscriber;
    const key = keyOf(tail, cursor);
    const known = this.#requests.get(key);
    if (known !== undefined) {
      known.waiting.push(subscriber);
      return;
    }
    const request = { key, tail, cursor, ringNo: tail.ring.nextNo, waiting: [subscriber] };
    this.#requests.set(key, request);
    this.#queue.push(request);
    // Never at once: a pump that asked is still on the stack, and one range after another would recurse.
    setImmediate(this.#advance);
  }

  /** Keeps a page that was read anyway (to judge a resume) for the subscriber about to ask for it. */
  keep(tail: Tail, cursor: Cursor, page: Page): Range {
    const range = new Range(itemsOf(page), page.end);
    // An empty range says "nothing newer yet", which the next entry makes untrue.
    if (range.nextNo === 0) return range;
    const key = keyOf(tail, cursor);
    if (this.#ranges.has(key)) return range;
    this.#ranges.set(key, range);
    this.#options.budget.hold(new KeptRange(this.#ranges, key, range), range.memoryBytes);
    return range;
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#queue.length = 0;
    this.#requests.clear();
  }

  readonly #advance = (): void => {
    while (this.#reading < MAX_READS && this.#queue.length > 0) {
      const request = this.#queue.shift() as Request;
      const range = this.#ranges.get(request.key);
      if (range !== undefined) this.#answer(request, range);
      else if (request.waiting.some((subscriber) => subscriber.isOpen)) {
        background('catching up', this.#read(request), this.#options.logger);
      } else this.#requests.delete(request.key);
    }
  };

  /** Never rejects: a read that fails is asked for again, since its subscribers stay connected. */
  async #read(request: Request): Promise<void> {
    this.#reading += 1;
    this.reads += 1;
    try {
      const page = await this.#options.log.read(request.tail.channel, request.cursor, this.#limits);
      if (!this.#closed) this.#answer(request, this.keep(request.tail, request.cursor, page));
    } catch (error) {
      this.#options.logger.debug({ err: error, channel: request.tail.channel }, 'catch-up read failed');
      this.#retry(request);
    } finally {
      this.#reading -= 1;
      if (!this.#closed) this.#advance();
    }
  }

  #answer(request: Request, range: Range): void {
    this.#requests.delete(request.key);
    const missed = request.tail.ring.nextNo !== request.ringNo;
    for (const subscriber of request.waiting) subscriber.resume(range, missed);
  }

  #retry(request: Request): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#queue.push(request);
      this.#advance();
    }, RETRY_MS);
    this.#timers.add(timer);
  }
}

class KeptRange implements Holding {
  readonly #ranges: Map<string, Range>;
  readonly #key: string;
  readonly #range: Range;

  constructor(ranges: Map<string, Range>, key: string, range: Range) {
    this.#ranges = ranges;
    this.#key = key;
    this.#range = range;
  }

  release(): number {
    this.#ranges.delete(this.#key);
    return this.#range.memoryBytes;
  }
}

function keyOf(tail: Tail, cursor: Cursor): string {
  return `${tail.channel} ${formatCursor(cursor)}`;
}
