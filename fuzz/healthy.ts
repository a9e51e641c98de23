/**
 * Those who do nothing wrong: a publisher and a subscriber for each door, on channels that no input may publish to.
 * Each subscriber must receive all that was published, once and in order, and soon.
 */
import { type ClientRequest, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { EventParser } from '../test/support/event-stream.ts';
import { tokenOf } from './grammar.ts';

const CHANNELS = { raw: 'healthy.raw', v1: 'healthy.v1', sse: 'healthy.sse' } as const;
type DoorName = keyof typeof CHANNELS;

const GAP_MS = 25;
const END_MS = 10_000;

export interface HealthyResult {
  readonly published: number;
  readonly received: number;
  /** Each from before it was published until it was received, in ms, rising. */
  readonly latencies: readonly number[];
  readonly faults: readonly string[];
}

export class Healthy {
  readonly #port: number;
  readonly #faults: string[] = [];
  readonly #latencies: number[] = [];
  readonly #doors: readonly DoorName[] = ['raw', 'v1', 'sse'];
  readonly #sentMs: Readonly<Record<DoorName, number[]>> = { raw: [], v1: [], sse: [] };
  readonly #received: Record<DoorName, number> = { raw: 0, v1: 0, sse: 0 };
  readonly #sockets: WebSocket[] = [];
  #stream: ClientRequest | null = null;
  #isOver = false;
  #acknowledged = 0;
  #publishing: Promise<unknown> = Promise.resolve();

  private constructor(port: number) {
    this.#port = port;
  }

  /** Resolves once all are connected and publish. */
  static async begin(port: number): Promise<Healthy> {
    const healthy = new Healthy(port);
    await healthy.#subscribe();
    const raw = await healthy.#open(`/ws/manager?channel=${CHANNELS.raw}`);
    const v1 = await healthy.#open(`/ws/manager?channel=${CHANNELS.v1}`, 'rivercast.v1');
    v1.on('message', (data: Buffer) => healthy.#acked(data.toString()));
    healthy.#publishing = Promise.all([
      healthy.#publish('raw', async (text) => raw.send(text)),
      healthy.#publish('v1', async (text, ref) =>
        v1.send(JSON.stringify({ type: 'publish', ref, data: text })),
      ),
      healthy.#publish('sse', (text) => healthy.#post(text)),
    ]).catch((error: unknown) => healthy.#accuse(`publishing failed: ${String(error)}`));
    return healthy;
  }

  /** Stops publishing, waits for what is on its way, and leaves. */
  async end(): Promise<HealthyResult> {
    this.#isOver = true;
    await this.#publishing;
    const deadline = performance.now() + END_MS;
    while (this.#missing().length > 0 && performance.now() < deadline) await delay(5);
    for (const missing of this.#missing()) this.#accuse(missing);
    for (const socket of this.#sockets) socket.removeAllListeners('close').terminate();
    this.#stream?.destroy();
    const published = this.#doors.reduce((sum, door) => sum + this.#sentMs[door].length, 0);
    const received = this.#doors.reduce((sum, door) => sum + this.#received[door], 0);
    const latencies = this.#latencies.toSorted((a, b) => a - b);
    return { published, received, latencies, faults: this.#faults };
  }

  #missing(): string[] {
    const lost = this.#doors
      .filter((door) => this.#received[door] !== this.#sentMs[door].length)
      .map((door) => `${door}: ${this.#received[door]} of ${this.#sentMs[door].length} received`);
    const unacknowledged = this.#sentMs.v1.length - this.#acknowledged;
    return unacknowledged === 0 ? lost : [...lost, `v1: ${unacknowledged} not acknowledged`];
  }

  async #subscribe(): Promise<void> {
    const raw = await this.#open(`/ws/broadcast?channel=${CHANNELS.raw}`);
    raw.on('message', (data: Buffer) => this.#hear('raw', data.toString()));
    const v1 = await this.#open(`/ws/broadcast?channel=${CHANNELS.v1}`, 'rivercast.v1');
    v1.on('message', (data: Buffer) => this.#heardFrame(data.toString()));
    const parser = new EventParser(({ data }) => this.#hear('sse', data));
    const headers = { authorization: `Bearer ${TOKEN}` };
    const stream = request(`http://127.0.0.1:${this.#port}/sse?channel=${CHANNELS.sse}`, { headers });
    this.#stream = stream;
    stream.on('error', (error) => this.#accuse(`the stream of events: ${error.message}`));
    await new Promise<void>((resolve) => {
      stream.on('response', (response) => {
        response.setEncoding('utf8').on('data', (text: string) => parser.push(text));
        response.on('end', () => this.#accuse('the stream of events ended'));
        response.on('error', () => undefined);
        resolve();
      });
      stream.end();
    });
  }

  #open(path: string, protocol?: string): Promise<WebSocket> {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const protocols = protocol === undefined ? [] : [protocol];
    const socket = new WebSocket(`ws://127.0.0.1:${this.#port}${path}`, protocols, { headers });
    this.#sockets.push(socket);
    socket.on('close', (code) => this.#accuse(`${path} was closed with ${code}`));
    return new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.once('open', () => resolve(socket));
    });
  }

  async #publish(door: DoorName, send: (text: string, n: number) => Promise<void>): Promise<void> {
    for (let n = 0; !this.#isOver; n++) {
      this.#sentMs[door].push(performance.now());
      await send(String(n), n);
      await delay(GAP_MS);
    }
  }

  async #post(text: string): Promise<void> {
    const url = `http://127.0.0.1:${this.#port}/api/channels/${CHANNELS.sse}/messages`;
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'text/plain' };
    const response = await fetch(url, { method: 'POST', headers, body: text });
    if (response.status !== 201) this.#accuse(`a post was answered with ${response.status}`);
    await response.arrayBuffer();
  }

  #heardFrame(text: string): void {
    const frame = JSON.parse(text) as { type: string; messages?: { data: string }[] };
    for (const { data } of frame.messages ?? []) this.#hear('v1', data);
    if (frame.type === 'gap' || frame.type === 'error') this.#accuse(`v1 was told ${text}`);
  }

  #acked(text: string): void {
    const { type, ref } = JSON.parse(text) as { type: string; ref?: number };
    if (type === 'hello') return;
    if (type !== 'ack' || ref !== this.#acknowledged) this.#accuse(`v1 was answered ${text}`);
    this.#acknowledged += 1;
  }

  #hear(door: DoorName, text: string): void {
    const n = this.#received[door];
    if (text !== String(n))
      this.#accuse(`${door}: ${JSON.stringify(text.slice(0, 50))} came in place of ${n}`);
    this.#latencies.push(performance.now() - (this.#sentMs[door][n] ?? 0));
    this.#received[door] = n + 1;
  }

  #accuse(fault: string): void {
    // One is enough: what follows it is mostly its consequence.
    if (this.#faults.length < 10) this.#faults.push(fault);
  }
}

const TOKEN = tokenOf({ sub: 'healthy', publish: ['healthy.*'], subscribe: ['healthy.*'] });
