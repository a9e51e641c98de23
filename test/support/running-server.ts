/**
 * A whole server for a test: in this process on a free port, or as a process of its own that can be stopped
 * and killed. Both are ready when they are returned, and end with the test.
 */
import type { TestContext } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import type { Log } from '../../src/log/log.ts';
import { createLogger } from '../../src/logger.ts';
import { type RunningServer, type ServerStats, startServer } from '../../src/server.ts';
import { type RunningCli, startCli } from './cli.ts';
import { type ClientOptions, WebSocketClient } from './websocket-client.ts';
import { within } from './within.ts';

type Settings = Readonly<Record<string, string>>;

const DEFAULTS: Settings = {
  PORT: '0',
  STORE: 'memory',
  LOG_LEVEL: 'silent',
  DRAIN_TIMEOUT_MS: '3s',
  DRAIN_SECONDS: '0',
};

export class TestServer implements AsyncDisposable {
  readonly server: RunningServer;

  private constructor(server: RunningServer) {
    this.server = server;
  }

  /**
   * `settings` by the names of the environment variables. `log` takes the place of the configured store, and `said`
   * is given what is logged.
   */
  static async start(settings: Settings = {}, log?: Log, said?: string[]): Promise<TestServer> {
    const config = loadConfig({ env: { ...DEFAULTS, ...settings } });
    const stream = said === undefined ? {} : { stream: { write: (line: string) => void said.push(line) } };
    const logger = createLogger({ level: config.logLevel, ...stream });
    const server =
      log === undefined ? startServer(config, logger) : startServer(config, logger, async () => log);
    return new TestServer(await server);
  }

  get address(): string {
    return this.server.addresses[0] as string;
  }

  get stats(): ServerStats {
    return this.server.stats();
  }

  url(path: string): string {
    return `${this.address.replace('http', 'ws')}${path}`;
  }

  publisher(query = '', options: ClientOptions = {}): Promise<WebSocketClient> {
    return WebSocketClient.connect(this.url(`/ws/manager${query}`), options);
  }

  subscriber(query = '', options: ClientOptions = {}): Promise<WebSocketClient> {
    return WebSocketClient.connect(this.url(`/ws/broadcast${query}`), options);
  }

  stop(): Promise<boolean> {
    return within('the server to stop', this.server.stop());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** The built command on a fixed port, so that it can come back where it was. */
export class ServerProcess {
  readonly #t: TestContext;
  readonly #settings: Settings;
  #cli: RunningCli;
  #address = '';

  private constructor(t: TestContext, settings: Settings) {
    this.#t = t;
    this.#settings = {
      PORT: '0',
      LOG_LEVEL: 'info',
      DRAIN_TIMEOUT_MS: '3s',
      DRAIN_SECONDS: '0',
      ...settings,
    };
    this.#cli = startCli(t, { env: this.#settings });
  }

  static async start(t: TestContext, settings: Settings): Promise<ServerProcess> {
    const process = new ServerProcess(t, settings);
    await process.#untilStarted();
    return process;
  }

  get address(): string {
    return this.#address;
  }

  url(path: string): string {
    return `${this.#address.replace('http', 'ws')}${path}`;
  }

  /** Sends the signal and resolves with the exit code once the process is gone; null when it was killed. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.#cli.child.kill(signal);
    return (await within(`the process to end on ${signal}`, this.#cli.exit)).code;
  }

  /** Starts it again with the same settings, on the same port. */
  async restart(): Promise<void> {
    const { port } = new URL(this.#address);
    this.#cli = startCli(this.#t, { env: { ...this.#settings, PORT: port } });
    await this.#untilStarted();
  }

  async #untilStarted(): Promise<void> {
    const line = await within('the server to start', this.#cli.line('started'));
    this.#address = (line['addresses'] as string[])[0] as string;
  }
}
