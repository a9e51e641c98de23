/**
 * The JavaScript of one document, block after block in one thread. `river` is a client of the server, as the first block of
 * docs/client.md makes it, for the blocks that do not make their own.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { WebSocket } from 'ws';
import { connect, stored } from '../../src/client/index.ts';

/** `url`: of the module. */
export interface PageBlock {
  readonly where: string;
  readonly url: string;
  readonly isEndless: boolean;
}

const BLOCK_MS = 15_000;
const { address, blocks } = workerData as { address: string; blocks: readonly PageBlock[] };
const river = connect(address, { WebSocket });
Object.assign(globalThis, { connect, stored, river });

let spoke: (() => void) | undefined;
console.log = () => spoke?.();

async function run({ url, isEndless }: PageBlock): Promise<void> {
  const saysSomething = new Promise<void>((resolve) => (spoke = resolve));
  const running: Promise<void> = import(url);
  if (!isEndless) return running;
  // What it fails with later fails the thread.
  await saysSomething;
}

for (const block of blocks) {
  const late = delay(BLOCK_MS, null, { ref: false }).then(() => {
    throw new Error(`${block.where} is not over in ${BLOCK_MS} ms`);
  });
  await Promise.race([run(block), late]);
  late.catch(() => undefined);
}
parentPort?.postMessage('done', []);
