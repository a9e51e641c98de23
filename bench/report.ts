/** Answers as a table for the terminal, and as a page with charts for the documentation. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Answer, Verdict } from './answer.ts';
import { svgOf } from './chart.ts';

export interface Results {
  readonly at: string;
  readonly quick: boolean;
  readonly machine: readonly string[];
  readonly answers: readonly Answer[];
  readonly failed: readonly string[];
}

/** Where the charts lie, as the page beside them says it. */
const CHARTS = 'benchmarks';

function verdictText({ pass, must, measured }: Verdict): string {
  return `${pass ? 'PASS' : 'FAIL'} ${must}: ${measured}`;
}

export function asText(answer: Answer): string {
  const lines = [answer.head, ...answer.rows];
  const widths = answer.head.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length)),
  );
  const table = lines.map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  const verdicts = answer.verdicts.map(verdictText);
  return [answer.title, ...table, ...verdicts, ...answer.notes].map((line) => `  ${line}`).join('\n');
}

/** Writes benchmarks.md and the charts beside it. */
export async function writeDocs(directory: string, results: Results): Promise<void> {
  await mkdir(join(directory, CHARTS), { recursive: true });
  for (const { charts = [] } of results.answers) {
    for (const chart of charts) await writeFile(join(directory, CHARTS, `${chart.file}.svg`), svgOf(chart));
  }
  await writeFile(join(directory, 'benchmarks.md'), asMarkdown(results));
}

const METHOD = `Server and Redis share one core, the load generator has the other, everything on loopback. The load
generator speaks each server's protocol on raw sockets and only walks headers and sequence numbers, each of which is
checked at every subscriber. The *floor* is a bare loop that writes the same bytes to the same number of sockets,
measured through the same generator, so that the generator's own limit shows: what is slower than the floor is not
limited by it.

- **ws + ioredis** (\`bench/baselines/ws-ioredis.ts\`): the plain server that one writes in an afternoon, on the same
  Redis Stream.
- **Socket.IO** 4 with its Redis Streams adapter, WebSocket only, on the same Redis.
- **NATS core** over WebSocket, from Debian. It stores nothing and cuts subscribers that fall behind: it has the
  limits raised and a publisher that waits for its slowest subscriber, so that nothing is lost.
- **Nchan** in nginx with one worker, from Debian, on the same Redis.

Repeats of different servers are interleaved and medians given. Read the ratios: absolute figures are those of one
small machine. \`make bench-peers\` installs what is missing, \`make bench\` runs it all, and
[bench/README.md](../bench/README.md) says how each thing is measured and what is not.`;

function asMarkdown(results: Results): string {
  const quick = results.quick ? '**A quick run: fewer repeats and messages, not to be quoted.**' : '';
  const failed = results.failed.map((name) => `- \`${name}\` could not be answered.`);
  return [
    '# Benchmarks',
    `Written by \`node build/bench/run.js --write-docs\` on ${results.at.slice(0, 10)}. Do not edit.`,
    quick,
    '## What must hold',
    summary(results),
    failed.join('\n'),
    '## Where we lose',
    losses(results),
    '## Method',
    METHOD,
    '## Machine',
    results.machine.map((line) => `- ${line}`).join('\n'),
    ...results.answers.map(sectionOf),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(row).join('\n');
}

function summary({ answers }: Results): string {
  const rows = answers.flatMap(({ question, verdicts }) =>
    verdicts.map(({ must, measured, pass }) => [question, must, measured, pass ? 'yes' : '**no**']),
  );
  return tableOf(['question', 'must', 'measured', 'holds'], rows);
}

function sectionOf(answer: Answer): string {
  const charts = (answer.charts ?? []).map(({ file, title }) => `![${title}](${CHARTS}/${file}.svg)`);
  const verdicts = answer.verdicts.map((verdict) => `- **${verdictText(verdict)}**`).join('\n');
  const notes = answer.notes.map((note) => `- ${note}`).join('\n');
  return [`## ${answer.title}`, ...charts, tableOf(answer.head, answer.rows), verdicts, notes]
    .filter((part) => part !== '')
    .join('\n\n');
}

function losses({ answers }: Results): string {
  const lines = answers.flatMap(({ title, verdicts, losses = [] }) => [
    ...verdicts.filter(({ pass }) => !pass).map((verdict) => `- ${title}: ${verdictText(verdict)}`),
    ...losses.map((loss) => `- ${title}: ${loss}`),
  ]);
  return lines.length === 0 ? 'Nowhere in this run.' : lines.join('\n');
}
