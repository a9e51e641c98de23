/**
 * A TCP proxy that a test can turn into a bad network: bytes vanish without a word (a half-open connection),
 * connections are cut, bytes come late.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export type Direction = 'up' | 'down';

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
}

export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  #target: number;
  readonly #pairs = new Set<Pair>();
  readonly #dropping = new Set<Direction>();
  #deafening: string | null = null;
  readonly #deaf = new WeakSet<Pair>();
  #accepted = 0;
  readonly #timers = new Set<NodeJS.Timeout>();
  #delayMs = 0;
  #bytesPerMs = Infinity;
  #onBytes: ((direction: Direction, bytes: Buffer) => void) | null = null;
  #interruption: { readonly before: string; readonly work: () => Promise<void> } | null = null;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
  }

  static async start(target: number): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server, target);
    server.on('connection', (client) => proxy.#accept(client));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** How many connections were ever made. */
  get accepted(): number {
    return this.#accepted;
  }

  /** From now on bytes in this direction vanish, on old connections and new ones. */
  drop(direction: Direction): void {
    this.#dropping.add(direction);
  }

  /** New bytes pass again; what vanished stays lost. */
  heal(): void {
    this.#dropping.clear();
    this.#deafening = null;
    this.#delayMs = 0;
    this.#bytesPerMs = Infinity;
    this.#onBytes = null;
  }

  /** A connection on which a client says this hears nothing any more, from then on and for good. */
  deafen(text: string): void {
    this.#deafening = text;
  }

  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** A slow line: so much of what clients send is read in a second. */
  throttle(bytesPerS: number): void {
    this.#bytesPerMs = bytesPerS / 1000;
  }

  /** New connections go to another port: a failover behind one address. */
  retarget(port: number): void {
    this.#target = port;
  }

  /** Ends every connection at once. */
  cut(): void {
    for (const pair of this.#pairs) this.#end(pair);
  }

  /** Called with all bytes that come, before they are passed on or dropped. */
  watch(onBytes: (direction: Direction, bytes: Buffer) => void): void {
    this.#onBytes = onBytes;
  }

  /** Once: what comes up before this text is passed on, and the rest only when `work` is done. */
  interrupt(before: string, work: () => Promise<void>): void {
    this.#interruption = { before, work };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    for (const timer of this.#timers) clearTimeout(timer);
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    this.#accepted += 1;
    const pair = { client, upstream: connect(this.#target, '127.0.0.1') };
    this.#pairs.add(pair);
    this.#pipe(pair, 'up', client, pair.upstream);
    this.#pipe(pair, 'down', pair.upstream, client);
  }

  #pipe(pair: Pair, direction: Direction, from: Socket, to: Socket): void {
    from.on('data', (bytes: Buffer) => {
      this.#onBytes?.(direction, bytes);
      if (direction === 'up' && this.#deafening !== null && bytes.includes(this.#deafening))
        this.#deaf.add(pair);
      if (this.#dropping.has(direction) || this.#deaf.has(pair)) return;
      if (direction === 'up' && this.#isInterrupted(pair, bytes)) return;
      if (direction === 'up' && this.#bytesPerMs < Infinity) this.#writeSlowly(from, to, bytes);
      else if (this.#delayMs === 0) this.#write(from, to, bytes);
      else this.#later(this.#delayMs, () => this.#write(from, to, bytes));
    });
    from.on('drain', () => to.resume());
    from.on('close', () => this.#end(pair));
    from.on('error', () => this.#end(pair));
  }

  #isInterrupted(pair: Pair, bytes: Buffer): boolean {
    const interruption = this.#interruption;
    const at = interruption === null ? -1 : bytes.indexOf(interruption.before);
    if (interruption === null || at < 0) return false;
    this.#interruption = null;
    const { client, upstream } = pair;
    client.pause();
    this.#write(client, upstream, bytes.subarray(0, at));
    const goOn = (): void => {
      this.#write(client, upstream, bytes.subarray(at));
      client.resume();
    };
    interruption.work().then(goOn, () => this.#end(pair));
    return true;
  }

  #write(from: Socket, to: Socket, bytes: Buffer): void {
    if (!to.destroyed && !to.write(bytes)) from.pause();
  }

  #writeSlowly(from: Socket, to: Socket, bytes: Buffer): void {
    from.pause();
    this.#later(bytes.length / this.#bytesPerMs, () => {
      from.resume();
      this.#write(from, to, bytes);
    });
  }

  #later(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.upstream.destroy();
  }
}
