/** A real broadcaster over a real store, with clients that are played, beside the models of what they are owed. */

import assert from 'node:assert/strict';
import { Broadcaster } from '../../src/broadcaster/broadcaster.ts';
import { RAW } from '../../src/broadcaster/formats/raw.ts';
import { SSE } from '../../src/broadcaster/formats/sse.ts';
import { V1 } from '../../src/broadcaster/formats/v1.ts';
import type { Subscriber } from '../../src/broadcaster/subscriber.ts';
import { V1Session } from '../../src/broadcaster/v1-session.ts';
import type { BroadcasterConfig } from '../../src/config.ts';
import { ANYBODY } from '../../src/grant.ts';
import type { NewEntry } from '../../src/log/log.ts';
import { type Cursor, formatCursor } from '../../src/protocol/cursor.ts';
import { ID_ZERO, idMs } from '../../src/protocol/id.ts';
import { parseStart } from '../../src/protocol/start.ts';
import { Refusals } from '../../src/refusals.ts';
import { silent } from './broadcast-rig.ts';
import type { ManualClock } from './clock.ts';
import { Client, contentOf, type Door, PlayedConnection } from './delivery-client.ts';
import { ChannelModel, type Copy, NOTHING } from './delivery-model.ts';
import type { Loss, Store } from './delivery-stores.ts';
import { until } from './within.ts';

export const CHANNELS = ['local-q', 'other'] as const;
export type Channel = (typeof CHANNELS)[number];

/** So small that a few entries fill a write, and what may be pending. */
const TINY: Omit<BroadcasterConfig, 'ringBytes'> = {
  writeBytes: 4096,
  stalledBytes: 64 * 1024,
  slowAfterMs: 30_000,
  slowEntries: 20,
  slowBytes: 64 * 1024 * 1024,
  maxCatchUps: 500,
};

/** Short, for a failure is tried again many times to make it small. */
const SETTLE_MS = 5000;

/** Where somebody new begins; `n` counts entries back from the newest ever accepted. */
export interface Wanted {
  readonly form: 'earliest' | 'latest' | 'last' | 'time' | Form;
  readonly n: number;
}

/** How much of a cursor a client keeps. */
export type Form = 'cursor' | 'epoch' | 'id';

/** A client's side of the server: what a real connection would call. */
interface Served {
  readonly subscriber: Subscriber;
  readonly session: V1Session | null;
}

export class World implements AsyncDisposable {
  readonly store: Store;
  readonly clients: Client[] = [];
  readonly models: ReadonlyMap<Channel, ChannelModel> = new Map(
    CHANNELS.map((channel) => [channel, new ChannelModel()]),
  );
  readonly #clock: ManualClock;
  readonly #ringBytes: number;
  readonly #served = new Map<PlayedConnection, Served>();
  readonly #copies = new Map<Channel, Copy>();
  #broadcaster: Broadcaster;
  /** The subscriber that was joined last: a session keeps its own to itself. */
  #joined: Subscriber | null = null;
  #published = 0;

  constructor(store: Store, clock: ManualClock, ringBytes: number) {
    this.store = store;
    this.#ringBytes = ringBytes;
    this.#clock = clock;
    this.#broadcaster = this.#broadcast();
  }

  model(channel: Channel): ChannelModel {
    return this.models.get(channel) as ChannelModel;
  }

  /** The next entry: no two are alike. */
  make(type: NewEntry['type'], size: number): NewEntry {
    const number = `${this.#published++}.`;
    const pad = 'é'.repeat(size % 7).padEnd(size, type === 'text' ? '.\n' : '.');
    const data = type === 'json' ? JSON.stringify({ number, pad }) : `${number}${pad}`;
    return { type, data: type === 'binary' ? Buffer.from(`${data}\u{ff}`, 'latin1') : Buffer.from(data) };
  }

  async publish(channel: Channel, entries: readonly NewEntry[]): Promise<void> {
    this.#clock.advance(entries.length % 3);
    const results = await this.store.log.append(channel, entries);
    for (const [i, { type, data }] of entries.entries()) {
      this.model(channel).accept(results[i]?.id as string, contentOf(type === 'binary', data));
    }
    await this.look(channel);
  }

  async addForeign(channel: Channel, { type, data }: NewEntry): Promise<void> {
    const id = (await this.store.stranger?.add(channel, type, data)) as string;
    this.model(channel).accept(id, contentOf(type === 'binary', data), true);
  }

  /** Deletes by name the kept entry that is `n` before the newest. */
  async deleteEntry(channel: Channel, n: number): Promise<void> {
    const entry = this.model(channel)
      .present.filter(({ isKept }) => isKept)
      .at(-1 - n);
    if (entry === undefined) return;
    await this.store.stranger?.delete(channel, entry.id);
    this.model(channel).remove(entry, 'deleted');
  }

  /** Keeps the `keep` newest entries; the bound is a count, or the id of the first one kept. */
  async trim(channel: Channel, keep: number, by: 'count' | 'id'): Promise<void> {
    const kept = this.model(channel).present.filter(({ isKept }) => isKept);
    const removed = kept.slice(0, Math.max(0, kept.length - keep));
    const first = kept[removed.length];
    const policy = by === 'id' && first !== undefined ? { before: first.id } : { maxEntries: keep };
    assert.equal(await this.store.log.trim(channel, policy), removed.length);
    for (const entry of removed) this.model(channel).remove(entry, 'trimmed');
  }

  async join(door: Door, wanted: ReadonlyMap<Channel, Wanted>): Promise<void> {
    const client = new Client(door);
    this.clients.push(client);
    const starts = new Map(
      [...wanted].map(([channel, one]) => [channel, this.#expect(client, channel, one)]),
    );
    await this.#connect(client, starts);
  }

  /** One that has gone comes back, for all its channels. */
  async resume(client: Client, form: Form): Promise<void> {
    const starts = new Map<Channel, string>();
    for (const channel of CHANNELS) {
      const start = this.#resumeAt(client, channel, form);
      if (start !== null) starts.set(channel, start);
    }
    if (starts.size > 0) await this.#connect(client, starts);
  }

  /** One more channel on the same connection, or one it had left. */
  async follow(client: Client, channel: Channel, wanted: Wanted, form: Form): Promise<void> {
    const start = this.#resumeAt(client, channel, form) ?? this.#expect(client, channel, wanted);
    await this.#ask(client, channel, start);
  }

  leave(client: Client, channel: Channel): void {
    client.read();
    if (client.strands.get(channel)?.isFollowed !== true) return;
    this.#of(client)?.session?.receive(Buffer.from(JSON.stringify({ type: 'unsubscribe', channel })), false);
    client.read();
    assert.equal(client.strands.get(channel)?.isFollowed, false);
  }

  /**
   * The server closes the connection, or the network cuts it and what was pending is lost, or it had begun to
   * close for what the client sent, and what came meanwhile was not written.
   */
  disconnect(client: Client, how: 'closed' | 'cut' | 'begun'): void {
    const { connection } = client;
    if (connection === null) return;
    const { subscriber } = this.#of(client) as Served;
    if (how === 'closed') subscriber.close(1012);
    else if (how === 'cut') connection.destroy();
    else if (connection.isOpen) connection.close(1007, subscriber.closeReason);
    this.#gone(connection);
    client.read();
  }

  drain(client: Client): void {
    const served = this.#of(client);
    client.connection?.drain();
    (served?.session ?? served?.subscriber)?.drained();
    client.read();
  }

  /** A regular visit tells where those stand that were sent nothing. */
  visit(client: Client): void {
    const served = this.#of(client);
    for (let i = 0; i < 2; i++) {
      const said = (served?.session ?? served?.subscriber)?.visit(1) ?? null;
      if (said !== null) client.connection?.write(said);
    }
    client.read();
  }

  /** Half a minute passes: who was stalled and is far behind is closed, tails nobody follows are given up. */
  tick(): void {
    this.#clock.advance(31_000);
    this.#broadcaster.tick();
  }

  async copy(): Promise<void> {
    const channels = CHANNELS.filter((channel) => this.model(channel).epoch !== null);
    const take = async (): Promise<void> => {
      if (channels.length > 0) await this.store.copy(channels);
    };
    if (this.store.isCopiedClosed) await this.restart('cursor', take);
    else await take();
    this.#copies.clear();
    for (const channel of CHANNELS) {
      if (channels.includes(channel)) this.#copies.set(channel, this.model(channel).copy());
    }
  }

  canLose(loss: Loss): boolean {
    if (loss === 'failover' || loss === 'restored') return this.#copies.size > 0;
    // Where there is nothing to lose but an epoch, who waits may be sent the next entry before it is noticed.
    const isBare = ({ epoch, tip }: ChannelModel): boolean => epoch !== null && tip === ID_ZERO;
    return loss !== 'keys' || ![...this.models.values()].some(isBare);
  }

  /** `form`: how those come back whom it disconnects. */
  async lose(loss: Loss, form: Form): Promise<void> {
    // What is pending for one that claims no history yet would not say which of the two it is of.
    for (const client of this.clients) {
      const isUnclaimed = [...client.strands.values()].some(({ story }) => story.history === null);
      if (isUnclaimed && client.connection !== null) this.drain(client);
    }
    await this.settle();
    const isCopy = loss === 'failover' || loss === 'restored';
    const channels = isCopy && !this.store.isCopiedClosed ? [...this.#copies.keys()] : CHANNELS;
    const lost = async (): Promise<void> => {
      await this.store.lose(loss, channels);
      for (const channel of channels) {
        this.model(channel).lose((isCopy ? this.#copies.get(channel) : null) ?? NOTHING, loss === 'keys');
      }
      // A copy of an earlier epoch would bring that one back, and its beginning with it.
      if (!this.store.isCopiedClosed) this.#copies.clear();
    };
    if (loss === 'process' || loss === 'restored') {
      await this.restart(form, async () => {
        await lost();
      });
    } else await lost();
  }

  /** Resolves once the server has noticed what was lost, so that whoever comes now comes to what is there. */
  async noticed(): Promise<void> {
    for (const channel of CHANNELS) {
      const { epoch } = await this.look(channel);
      const { tail } = await this.#broadcaster.admit(channel, { at: 'latest' });
      await until('the loss is noticed', () => tail.ring.end.epoch === epoch, SETTLE_MS);
    }
  }

  async restart(form: Form, meanwhile: () => Promise<void> = async () => undefined): Promise<void> {
    this.#endCloses();
    const here = this.clients.filter(({ connection }) => connection !== null);
    await this.#broadcaster.closeAll(1012, 0, AbortSignal.abort());
    for (const client of this.clients) {
      if (client.connection !== null) this.#gone(client.connection);
      client.read();
    }
    await this.#broadcaster.close();
    await this.store.reopen(meanwhile);
    this.#broadcaster = this.#broadcast();
    for (const channel of CHANNELS) await this.look(channel);
    for (const client of here) await this.resume(client, form);
  }

  /** Resolves once everybody who reads has been sent all there is, and it was right. */
  async settle(): Promise<void> {
    const tips = new Map<string, { tip: string; epoch: string | null }>();
    for (const channel of CHANNELS) tips.set(channel, await this.look(channel));
    const isDone = (client: Client): boolean => {
      const served = this.#of(client);
      if (served === null || client.connection?.stalls === true || !served.subscriber.isOpen) return true;
      return served.subscriber.subscriptions.every(({ cursor, feed: { channel, ring } }) => {
        const { tip, epoch } = tips.get(channel) as { tip: string; epoch: string | null };
        return cursor.id === tip && ring.end.id === tip && ring.end.epoch === epoch;
      });
    };
    const areDone = (): boolean => this.clients.every(isDone);
    for (let turns = 0; turns < 100 && !areDone(); turns++) await turn();
    await until('everybody has everything', areDone, SETTLE_MS);
    for (const client of this.clients) {
      client.read();
      if (client.connection === null || client.connection.stalls || client.connection.isClosing) continue;
      for (const { model, story, isFollowed } of client.strands.values())
        if (isFollowed) model.settled(story);
    }
  }

  /** Everybody who is here reads to the end. */
  async finish(): Promise<void> {
    this.#endCloses();
    for (const client of this.clients) if (client.connection !== null) this.drain(client);
    await this.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#broadcaster.close();
    await this.store[Symbol.asyncDispose]();
  }

  #broadcast(): Broadcaster {
    const broadcaster = new Broadcaster({
      log: this.store.log,
      clock: this.#clock,
      logger: silent,
      config: { ...TINY, ringBytes: this.#ringBytes },
    });
    const join = broadcaster.join.bind(broadcaster);
    broadcaster.join = (...args) => {
      this.#joined = join(...args);
      return this.#joined;
    };
    return broadcaster;
  }

  async look(channel: Channel): Promise<{ tip: string; epoch: string | null }> {
    const bounds = await this.store.log.bounds(channel);
    this.model(channel).learn(bounds.epoch);
    return bounds;
  }

  #endCloses(): void {
    for (const client of this.clients) {
      if (client.connection?.isClosing === true) this.disconnect(client, 'begun');
    }
  }

  #of(client: Client): Served | null {
    return client.connection === null ? null : (this.#served.get(client.connection) ?? null);
  }

  #gone(connection: PlayedConnection): void {
    const served = this.#served.get(connection);
    (served?.session ?? served?.subscriber)?.detach();
    this.#served.delete(connection);
  }

  /** Begins the story of a newcomer; returns its `after`. */
  #expect(client: Client, channel: Channel, { form, n }: Wanted): string {
    const model = this.model(channel);
    const kept = model.present.filter(({ isKept }) => isKept);
    const expect = (from: number): void => {
      const first = kept[from];
      client.expect(
        channel,
        model,
        first === undefined ? model.entries.length : model.entries.indexOf(first),
      );
    };
    switch (form) {
      case 'latest':
        client.expect(channel, model, null);
        return form;
      case 'earliest':
        expect(0);
        return form;
      case 'last':
        expect(Math.max(0, kept.length - n));
        return `last:${n}`;
      case 'time': {
        const ms = idMs((kept.at(-1 - n) ?? kept[0])?.id ?? `${this.#clock.now()}-0`);
        const from = kept.findIndex(({ id }) => idMs(id) >= ms);
        expect(from === -1 ? kept.length : from);
        return new Date(ms).toISOString();
      }
      case 'cursor':
      case 'epoch':
      case 'id':
        return this.#claim(client, channel, form, n);
    }
  }

  /** A newcomer with the cursor of an entry that it never received from here: another node sent it. */
  #claim(client: Client, channel: Channel, form: Form, n: number): string {
    const model = this.model(channel);
    const index = model.entries.length - 1 - n;
    const entry = model.entries[index];
    const strand = client.expect(channel, model, index < 0 ? 0 : index + 1);
    strand.story.isFresh = false;
    const history = Math.min((entry?.cut ?? Infinity) - 1, model.history);
    strand.story.history = history;
    strand.cursor = { id: '0-0', epoch: null, ordinal: null };
    if (entry !== undefined) {
      const before = model.entries.slice(0, index + 1);
      const ordinal = before.filter(({ born, cut }) => born <= history && cut > history).length;
      strand.cursor = { id: entry.id, epoch: model.epochOf(history), ordinal };
    }
    return this.#resumeAt(client, channel, form) as string;
  }

  /** Null: it has nothing to resume. */
  #resumeAt(client: Client, channel: Channel, form: Form): string | null {
    const strand = client.strands.get(channel);
    if (strand === undefined || strand.cursor === null) return null;
    const { id, epoch, ordinal } = strand.cursor;
    const cursor: Cursor = {
      id,
      epoch: form === 'id' ? null : epoch,
      ordinal: form === 'cursor' ? ordinal : null,
    };
    strand.model.resume(strand.story, cursor);
    return formatCursor(cursor);
  }

  async #connect(client: Client, starts: ReadonlyMap<Channel, string>): Promise<void> {
    const connection = new PlayedConnection();
    if (client.door.startsWith('v1')) {
      client.connection = connection;
      const hello = { server: 'test', heartbeat: 25 };
      const shared = {
        broadcaster: this.#broadcaster,
        clock: this.#clock,
        logger: silent,
        format: V1,
        hello,
        caller: ANYBODY,
        maxChannels: 100,
        refusals: new Refusals(),
      };
      const session = new V1Session({ ...shared, connection });
      this.#served.set(connection, { subscriber: this.#joined as Subscriber, session });
      for (const [channel, start] of starts) await this.#ask(client, channel, start);
      return;
    }
    const [[channel, text]] = [...starts] as [[Channel, string]];
    const start = parseStart(text, this.#clock.now()) ?? assert.fail(text);
    const admission = await this.#broadcaster.admit(channel, start);
    if (client.door === 'raw-fail' && admission.gap !== null) {
      admission[Symbol.dispose]();
      return client.refused(channel, admission.gap);
    }
    client.connection = connection;
    const subscriber = this.#broadcaster.join(connection, client.door === 'sse' ? SSE : RAW);
    this.#served.set(connection, { subscriber, session: null });
    client.begin(channel, admission.cursor ?? admission.tail.ring.end);
    this.#broadcaster.subscribe(subscriber, admission, client.door === 'raw-fail' ? 'close' : 'skip');
  }

  async #ask(client: Client, channel: Channel, after: string): Promise<void> {
    const ask = { type: 'subscribe', channel, after, on_gap: client.door === 'v1-fail' ? 'fail' : 'skip' };
    const before = client.answers;
    this.#of(client)?.session?.receive(Buffer.from(JSON.stringify(ask)), false);
    const isAnswered = (): boolean => {
      client.read();
      return client.answers > before || client.connection === null;
    };
    for (let turns = 0; turns < 100 && !isAnswered(); turns++) await turn();
    await until('an answer', isAnswered, SETTLE_MS);
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
