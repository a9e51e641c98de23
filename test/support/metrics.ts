/** What a server says of itself in the text format of Prometheus, read. */
import type { TestServer } from './running-server.ts';
import { until } from './within.ts';

export interface MetricSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class Metrics {
  readonly text: string;
  /** By name: counter, gauge, histogram. */
  readonly types: ReadonlyMap<string, string>;
  readonly samples: readonly MetricSample[];

  constructor(text: string) {
    this.text = text;
    const lines = text.split('\n');
    this.types = new Map(
      lines
        .filter((line) => line.startsWith('# TYPE '))
        .map((line) => line.slice(7).split(' ') as [string, string]),
    );
    this.samples = lines.filter((line) => line !== '' && !line.startsWith('#')).map(sampleOf);
  }

  /** Of the one sample with these labels, whatever others it has; 0 where there is none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const found = this.samples.filter((sample) => sample.name === name && has(sample, labels));
    if (found.length > 1) throw new Error(`${name} has several samples with ${JSON.stringify(labels)}`);
    return found[0]?.value ?? 0;
  }

  /** The names of the labels, but that of buckets, which a metric has in this text. */
  labelsOf(name: string): string[] {
    const own = this.samples.filter((sample) => sample.name.replace(/_(bucket|sum|count)$/, '') === name);
    const direct = this.samples.filter((sample) => sample.name === name);
    const labels = [...own, ...direct].flatMap((sample) => Object.keys(sample.labels));
    return [...new Set(labels)].filter((label) => label !== 'le');
  }
}

export async function scrape({ address }: { readonly address: string }): Promise<Metrics> {
  const response = await fetch(`${address}/metrics`);
  if (response.status !== 200) throw new Error(`/metrics answers ${response.status}`);
  return new Metrics(await response.text());
}

/** Scrapes until it says so: what was found a moment ago may be said again. */
export async function scrapeUntil(
  server: TestServer,
  what: string,
  holds: (metrics: Metrics) => boolean,
): Promise<Metrics> {
  let last = await scrape(server);
  await until(what, async () => {
    last = await scrape(server);
    return holds(last);
  });
  return last;
}

function has({ labels }: MetricSample, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => labels[name] === value);
}

function sampleOf(line: string): MetricSample {
  const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`no sample: ${line}`);
  const [, name = '', inside = '', value = ''] = match;
  const labels = [...inside.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [
    label,
    text,
  ]);
  return { name, labels: Object.fromEntries(labels) as Record<string, string>, value: Number(value) };
}
