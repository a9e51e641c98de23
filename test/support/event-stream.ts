/**
 * A reader of server-sent events as the HTML standard has it (section 9.2.6), over a plain HTTP request: it keeps
 * each event fired and the last id, and never misses one. `await using` ends it.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { requestTo } from './secure.ts';
import { within } from './within.ts';

export interface StreamEvent {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

/** The parser alone: chunks of text in, events out. */
export class EventParser {
  /** What a browser would say it has seen. */
  lastEventId = '';
  retryMs: number | null = null;
  readonly #fire: (event: StreamEvent) => void;
  #text = '';
  #isStart = true;
  #data = '';
  #type = '';
  #id = '';

  constructor(fire: (event: StreamEvent) => void) {
    this.#fire = fire;
  }

  push(text: string): void {
    this.#text += text;
    if (this.#isStart && this.#text.length > 0) {
      this.#isStart = false;
      if (this.#text.startsWith('\ufeff')) this.#text = this.#text.slice(1);
    }
    for (;;) {
      const end = /\r\n|\r(?!$)|\n/.exec(this.#text);
      if (end === null) return;
      const line = this.#text.slice(0, end.index);
      this.#text = this.#text.slice(end.index + end[0].length);
      this.#line(line);
    }
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data += `${value}\n`;
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch(): void {
    this.lastEventId = this.#id;
    const data = this.#data;
    const type = this.#type === '' ? 'message' : this.#type;
    this.#data = '';
    this.#type = '';
    if (data !== '') this.#fire({ type, data: data.slice(0, -1), lastEventId: this.#id });
  }
}

export interface StreamOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
}

export class EventStream implements AsyncDisposable {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Resolves when the stream has ended, whatever ended it. */
  readonly ended: Promise<void>;
  readonly #response: IncomingMessage;
  readonly #events: StreamEvent[] = [];
  readonly #parser: EventParser = new EventParser((event) => this.#events.push(event));
  /** How many characters came. */
  received = 0;
  #taken = 0;
  #isEnded = false;
  #wake: (() => void) | null = null;

  private constructor(response: IncomingMessage) {
    this.#response = response;
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      this.received += text.length;
      this.#parser.push(text);
      this.#wake?.();
    });
    response.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      response.on('close', () => {
        this.#isEnded = true;
        this.#wake?.();
        resolve();
      });
    });
  }

  /** Resolves with the head of the answer, whatever its status. */
  static open(url: string, { headers = {}, method = 'GET' }: StreamOptions = {}): Promise<EventStream> {
    const opened = new Promise<EventStream>((resolve, reject) => {
      const asked = requestTo(url, { headers, method, agent: false });
      asked.on('response', (response) => resolve(new EventStream(response)));
      asked.on('error', reject);
      asked.end();
    });
    return within(`the head of ${url}`, opened);
  }

  get lastEventId(): string {
    return this.#parser.lastEventId;
  }

  get retryMs(): number | null {
    return this.#parser.retryMs;
  }

  get count(): number {
    return this.#events.length;
  }

  async take(count: number): Promise<StreamEvent[]> {
    const end = this.#taken + count;
    await this.until(`event ${end}`, () => this.#events.length >= end);
    const events = this.#events.slice(this.#taken, end);
    this.#taken = end;
    return events;
  }

  async data(count: number): Promise<string[]> {
    return (await this.take(count)).map(({ data }) => data);
  }

  /** Resolves once `holds`, looked at whenever something came. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const held = new Promise<void>((resolve, reject) => {
      this.#wake = () => {
        if (holds()) resolve();
        else if (this.#isEnded) reject(new Error(`the stream ended before ${what}`));
      };
      this.#wake();
    });
    await within(what, held).finally(() => {
      this.#wake = null;
    });
  }

  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#response.destroy();
    await this.ended;
  }
}
