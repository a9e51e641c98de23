/** What a run found, for people. */
import { MAX_GROWTH_BYTES, MAX_LATENCY_MS, MAX_RESIDENT_BYTES, type Outcome } from './fuzz.ts';

const MIB = 1024 * 1024;

export function report(outcome: Outcome): string {
  const { inputs, ms, tally, peakBytes, growthBytes, healthy, findings, folder } = outcome;
  const at = (share: number): string =>
    (healthy.latencies[Math.floor(healthy.latencies.length * share)] ?? 0).toFixed(1);
  const worst = (healthy.latencies.at(-1) ?? 0).toFixed(1);
  const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;
  return [
    ...tally.entries().map(([name, count]) => `${String(count).padStart(9)}  ${name}`),
    `${inputs} inputs in ${(ms / 1000).toFixed(1)} s, ${Math.round((inputs * 1000) / ms)} a second`,
    `memory: ${mib(peakBytes)} at most (bound ${mib(MAX_RESIDENT_BYTES)}), ${mib(growthBytes)} more at the end (bound ${mib(MAX_GROWTH_BYTES)})`,
    `beside it: ${healthy.received} of ${healthy.published} messages received, once and in order; p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${worst} ms (bound ${MAX_LATENCY_MS} ms)`,
    ...(folder === null ? [] : [`the log is in ${folder}`]),
    `${findings.length} findings`,
  ].join('\n');
}
