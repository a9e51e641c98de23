/** The listening sockets: one HTTP server per port, all with the same routes and doors, all behind TLS or none. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { background } from '../../background.ts';
import type { Clock } from '../../clock.ts';
import type { HttpConfig, LimitsConfig } from '../../config.ts';
import { StartError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { type BrokenOptions, oweAnswer, refuseBrokenOf } from './broken-requests.ts';
import { Certificate } from './certificate.ts';
import type { Entrance } from './entrance.ts';
import type { Front } from './front.ts';
import { createSecureServer, cutAll, replacePair } from './secure-server.ts';

/** How often half-sent requests are looked for, and the part of their time that may be late. */
const MAX_CHECK_MS = 100;
const CHECKS_PER_TIMEOUT = 5;
/** Reconnecting clients come all at once; the kernel caps this at net.core.somaxconn. */
const BACKLOG = 4096;

export interface ListenOptions extends BrokenOptions {
  readonly config: HttpConfig;
  readonly clock: Clock;
  readonly limits: LimitsConfig;
  readonly front: Front;
}

export class Listener implements Entrance {
  readonly #servers: readonly Server[];
  readonly #certificate: Certificate | null;
  readonly #logger: Logger;
  readonly addresses: readonly string[];

  private constructor(servers: readonly Server[], certificate: Certificate | null, logger: Logger) {
    this.#servers = servers;
    this.#certificate = certificate;
    this.#logger = logger;
    this.addresses = servers.map((server) => addressOf(server, certificate === null ? 'http' : 'https'));
    certificate?.follow((pair) => {
      for (const server of servers) replacePair(server as SecureServer, pair);
    });
  }

  /** Listens on every port; all but the first are best effort. Rejects with StartError. */
  static async open(options: ListenOptions): Promise<Listener> {
    const { config, clock, logger } = options;
    const files = config.tls;
    const certificate = files === null ? null : await Certificate.open({ files, clock, logger });
    try {
      return new Listener(await listenOnAll(options, certificate), certificate, logger);
    } catch (error) {
      certificate?.close();
      throw error;
    }
  }

  /** Reads the certificate again; false: there is none. What comes of it is logged. */
  reload(): boolean {
    if (this.#certificate === null) return false;
    background('reading the certificate again', this.#certificate.reload(), this.#logger);
    return true;
  }

  /** Connections of any kind that are open, or half so. */
  async sockets(): Promise<number> {
    const counts = await Promise.all(this.#servers.map(socketsOf));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Stops accepting; connections that are open stay. */
  stop(): void {
    for (const server of this.#servers) {
      server.close();
      server.closeIdleConnections();
    }
  }

  /** Ends what is still open. */
  close(): void {
    this.#certificate?.close();
    for (const server of this.#servers) {
      server.closeAllConnections();
      cutAll(server);
    }
  }
}

async function listenOnAll(options: ListenOptions, certificate: Certificate | null): Promise<Server[]> {
  const { config, logger } = options;
  const servers: Server[] = [];
  for (const port of config.ports) {
    const server = makeServer(options, certificate);
    try {
      await listen(server, config.host, port);
      // Running out of descriptors, say: accepting goes on when there are some again.
      server.on('error', (error) => logger.error({ err: error, port }, 'accepting connections failed'));
      servers.push(server);
    } catch (error) {
      const reason = describe(error as NodeJS.ErrnoException, config.host, port);
      if (servers.length === 0) throw new StartError(reason, 1, { cause: error });
      logger.warn({ port }, `not listening on port ${port}: ${reason}`);
    }
  }
  return servers;
}

function socketsOf(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count ?? 0)));
}

function makeServer(options: ListenOptions, certificate: Certificate | null): Server {
  const { front, limits, crossed } = options;
  const { handshakeTimeoutMs, requestTimeoutMs, maxHeaderBytes } = limits;
  const settings = {
    headersTimeout: handshakeTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(MAX_CHECK_MS, handshakeTimeoutMs / CHECKS_PER_TIMEOUT),
    maxHeaderSize: maxHeaderBytes,
    noDelay: true,
  };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    oweAnswer(request.socket, response);
    front.answer(request, response);
  };
  const server =
    certificate === null
      ? createServer(settings, answer)
      : createSecureServer(
          { ...settings, pair: certificate.pair, handshakeTimeout: handshakeTimeoutMs },
          answer,
        );
  // Node's own bound drops the headers beyond it: an Origin or a key may be among them.
  server.maxHeadersCount = 0;
  server.maxConnections = limits.maxSockets;
  server.on('drop', () => crossed('sockets'));
  refuseBrokenOf(server, options);
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) =>
    front.upgrade(server, request, socket, head),
  );
  return server;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function describe(error: NodeJS.ErrnoException, host: string, port: number): string {
  if (error.code === 'EADDRINUSE') return `port ${port} on ${host} is taken; choose another with PORT`;
  if (error.code === 'EACCES')
    return `port ${port} on ${host} needs more rights; choose one above 1023 with PORT`;
  if (error.code === 'EADDRNOTAVAIL') return `${host} is no address of this machine; choose another HOST`;
  return `cannot listen on ${host}:${port}: ${error.message}`;
}

function addressOf(server: Server, scheme: 'http' | 'https'): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
