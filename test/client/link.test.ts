/** When a lost connection is tried again: real sockets, with a clock that does not wait. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import type { SocketClass } from '../../src/client/index.ts';
import { Link } from '../../src/client/link.ts';
import { TestServer } from '../support/running-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { within } from '../support/within.ts';

const Class: SocketClass = WebSocket;

interface Watched {
  readonly link: Link;
  /** How long it waited for each try, in ms; in truth it does not wait at all. */
  readonly waits: number[];
  /** Resolves once that has come to pass, after a change of its state. */
  readonly when: (holds: () => boolean) => Promise<void>;
}

/** `random`: what is drawn each time. */
function watch(t: TestContext, url: string, random: number): Watched {
  const waits: number[] = [];
  const watchers = new Set<() => void>();
  const link = new Link({
    ...{ url, WebSocket: Class },
    ...{ opened: () => undefined, frame: () => undefined },
    changed: () => {
      for (const look of watchers) look();
    },
    isAwaiting: () => false,
    patienceMs: () => 60_000,
  });
  t.after(() => link.close());
  const when = (holds: () => boolean): Promise<void> =>
    within('a change', new Promise((resolve) => watchers.add(() => (holds() ? resolve() : undefined))));
  const { setTimeout: start } = globalThis;
  t.mock.method(Math, 'random', () => random);
  t.mock.method(globalThis, 'setTimeout', (work: () => void, ms?: number) => {
    if (link.state !== 'waiting') return start(work, ms);
    waits.push(ms ?? 0);
    return start(work, 0);
  });
  link.need();
  return { link, waits, when };
}

/** Where nobody listens. */
async function nowhere(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `ws://127.0.0.1:${port}/`;
}

for (const random of [0, 0.25, 0.999]) {
  test(`tries are further and further apart, up to half a minute: where ${random} is drawn`, async (t) => {
    const { waits, when } = watch(t, await nowhere(), random);
    await when(() => waits.length >= 9);
    const bounds = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
    assert.deepEqual(
      waits.slice(0, 9),
      bounds.map((ms) => ms * random),
    );
  });
}

test('a server that stops has its clients come back within a second, however often they were lost', async (t) => {
  const server = await TestServer.start();
  t.after(() => server.stop());
  await using proxy = await TcpProxy.start(Number(new URL(server.address).port));
  const { link, waits, when } = watch(t, `ws://127.0.0.1:${proxy.port}/ws/broadcast?channel=`, 0.999);
  await when(() => link.state === 'open');
  for (const lost of [1, 2]) {
    const again = when(() => waits.length === lost && link.state === 'open');
    proxy.cut();
    await again;
  }
  const told = when(() => waits.length === 3);
  await server.stop();
  await told;
  assert.deepEqual(waits.slice(0, 3), [499.5, 999, 999]);
});
