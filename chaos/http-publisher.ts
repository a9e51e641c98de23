/**
 * One that publishes numbered messages over HTTP, each with its Idempotency-Key, alone or many in one request
 * (NDJSON), and asks again with the same key until it is told 201, or the line of a batch an id.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { bodyOf, type Code, codeOf, nameOf } from './message.ts';
import type { PublisherOptions } from './publisher.ts';
import { type Answer, answersIn } from './wire.ts';

export interface HttpPublisherOptions extends PublisherOptions {
  /** How many messages a request carries; 1: each in a request of its own. */
  readonly batch: number;
}

const REQUEST_MS = 4000;
/** Each so manieth request is given up in the middle, and tried again. */
const GIVE_UP_ONE_OF = 100;
const PAUSE_MS = 200;

const TYPES = { text: 'text/plain', json: 'application/json', binary: 'application/octet-stream' } as const;

export class HttpPublisher {
  readonly #options: HttpPublisherOptions;
  readonly #working: Promise<unknown>;
  #next = 0;
  #inFlight = 0;
  #isStopping = false;
  #isEnded = false;

  constructor(options: HttpPublisherOptions) {
    this.#options = options;
    const workers = Math.max(1, Math.floor(options.window / options.batch));
    this.#working = Promise.all(Array.from({ length: workers }, () => this.#work(workers)));
  }

  get name(): string {
    return `publisher ${this.#options.number} (HTTP)`;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async end(): Promise<void> {
    this.#isStopping = true;
    this.#isEnded = true;
    await this.#working;
  }

  async #work(workers: number): Promise<void> {
    const { number, batch, rate, random, tally } = this.#options;
    const everyMs = (1000 * batch * workers) / rate;
    while (!this.#isStopping) {
      const codes = Array.from({ length: batch }, () => codeOf(number, this.#next++));
      this.#inFlight += batch;
      tally.add('published', batch);
      const since = performance.now();
      await this.#untilStored(codes);
      await delay(Math.max(0, everyMs * (0.5 + random.next()) - (performance.now() - since)));
    }
  }

  async #untilStored(codes: readonly Code[]): Promise<void> {
    const { tally, random } = this.#options;
    let open = codes;
    for (let tries = 1; open.length > 0 && !this.#isEnded; tries++) {
      if (tries > 1) {
        tally.add('retries', open.length);
        for (const code of open) this.#options.book.retry(code);
        await delay(PAUSE_MS * (0.5 + random.next()));
      }
      const answers = await this.#ask(open);
      open = open.filter((code, i) => !this.#settled(code, answers[i], tries));
    }
  }

  /** An answer for each, as far as they came. */
  async #ask(codes: readonly Code[]): Promise<readonly (Answer | undefined)[]> {
    const { manager, book, random, tally, batch } = this.#options;
    const isGivenUp = !this.#isStopping && random.chance(1 / GIVE_UP_ONE_OF);
    if (isGivenUp) tally.add('requests given up');
    const url = `${manager('http')}/api/channels/${book.channel}/messages`;
    const signal = AbortSignal.timeout(isGivenUp ? random.between(1, 8) : REQUEST_MS);
    const request = batch === 1 ? single(codes[0] as Code) : lines(codes);
    let status: number;
    let text: string;
    try {
      const response = await fetch(url, { method: 'POST', signal, ...request });
      ({ status } = response);
      text = await response.text();
    } catch {
      tally.add('requests cut');
      return [];
    }
    // It came whole.
    const answers = answersIn(status, text);
    const isAnswer = answers !== null && answers.length <= codes.length;
    if (!isAnswer) this.#accuse(`was answered what it can not read: ${status} ${text.slice(0, 200)}`);
    return isAnswer ? answers : [];
  }

  #settled(code: Code, answer: Answer | undefined, tries: number): boolean {
    const { tally, book } = this.#options;
    if (answer === undefined) return false;
    if ('error' in answer) {
      tally.add(`errors told: ${answer.error.code}`);
      if (!answer.error.retry) this.#accuse(`was refused ${nameOf(code)}: ${JSON.stringify(answer.error)}`);
      return false;
    }
    this.#inFlight -= 1;
    book.acknowledge(code, answer.id, Date.now());
    tally.add('acknowledged');
    if (answer.duplicate) tally.add('duplicates suppressed');
    if (answer.duplicate && tries === 1)
      this.#accuse(`was told that ${nameOf(code)}, tried once, is a duplicate`);
    return true;
  }

  #accuse(what: string): void {
    const account = `${this.#options.book.channel}: ${this.name} ${what}`;
    this.#options.onViolation({ fault: 'misbehaved', account });
  }
}

function single(code: Code): { readonly headers: Record<string, string>; readonly body: Buffer } {
  const { kind, text } = bodyOf(code);
  return {
    headers: { 'content-type': TYPES[kind], 'idempotency-key': nameOf(code) },
    body: Buffer.from(text, kind === 'binary' ? 'latin1' : 'utf8'),
  };
}

function lines(codes: readonly Code[]): { readonly headers: Record<string, string>; readonly body: string } {
  return { headers: { 'content-type': 'application/x-ndjson' }, body: codes.map(lineOf).join('') };
}

function lineOf(code: Code): string {
  const { kind, text } = bodyOf(code);
  const key = nameOf(code);
  if (kind === 'binary')
    return `${JSON.stringify({ data64: Buffer.from(text, 'latin1').toString('base64'), key })}\n`;
  return `${JSON.stringify({ data: kind === 'json' ? (JSON.parse(text) as unknown) : text, key })}\n`;
}
