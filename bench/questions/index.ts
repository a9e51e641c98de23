/** Every question, in the order they run. */
import type { Answer, Bench } from '../answer.ts';
import { attacks } from './attacks.ts';
import { bigFanout } from './big-fanout.ts';
import { channels } from './channels.ts';
import { fixedRate } from './fixed-rate.ts';
import { idleMemory } from './idle-memory.ts';
import { keys } from './keys.ts';
import { metricsCost } from './metrics-cost.ts';
import { publish } from './publish.ts';
import { publishLatency } from './publish-latency.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import { replay } from './replay.ts';
import { rollingRestart } from './rolling-restart.ts';
import { slowReaders } from './slow-readers.ts';
import { startUp } from './start-up.ts';
import { throughput } from './throughput.ts';
import { tls } from './tls.ts';

export const QUESTIONS: Readonly<Record<string, (bench: Bench) => Promise<Answer>>> = {
  throughput,
  'fixed-rate': fixedRate,
  'slow-readers': slowReaders,
  'big-fanout': bigFanout,
  channels,
  replay,
  'reconnect-storm': reconnectStorm,
  'rolling-restart': rollingRestart,
  tls,
  'idle-memory': idleMemory,
  'start-up': startUp,
  publish,
  'publish-latency': publishLatency,
  keys,
  attacks,
  'metrics-cost': metricsCost,
};
