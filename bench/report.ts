/** Answers as a table for the terminal and as a page for the documentation. */
import type { Answer, Verdict } from './answer.ts';

export interface Results {
  readonly at: string;
  readonly quick: boolean;
  readonly machine: readonly string[];
  readonly answers: readonly Answer[];
  readonly failed: readonly string[];
}

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

const METHOD = `Server and Redis share one core, the load generator has another, everything on loopback. The load generator
speaks WebSocket on raw sockets and only walks frame headers and sequence numbers; the *floor* is a bare loop
that writes the same bytes to the same number of sockets, measured through the same generator, so that its own
limit shows. The baseline (\`bench/baselines/ws-ioredis.ts\`) is a plain ws + ioredis server on the same Redis
Stream. Repeats of different servers are interleaved and medians given. Read the ratios: absolute figures are
those of one small machine. \`make bench\` runs it all; \`bench/README.md\` says how each thing is measured.`;

export function asMarkdown(results: Results): string {
  const sections = results.answers.map(sectionOf);
  const quick = results.quick ? '**A quick run: fewer repeats and messages, not to be quoted.**' : '';
  const failed = results.failed.map((name) => `- \`${name}\` could not be answered.`);
  return [
    '# Benchmarks',
    `Written by \`node build/bench/run.js --write-docs\` on ${results.at.slice(0, 10)}. Do not edit.`,
    quick,
    '## Method',
    METHOD,
    '## Machine',
    results.machine.map((line) => `- ${line}`).join('\n'),
    ...sections,
    '## Where we lose',
    losses(results),
    failed.join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}

function sectionOf(answer: Answer): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [answer.head, answer.head.map(() => '---'), ...answer.rows].map(row).join('\n');
  const verdicts = answer.verdicts.map((verdict) => `- **${verdictText(verdict)}**`).join('\n');
  const notes = answer.notes.map((note) => `- ${note}`).join('\n');
  return [`## ${answer.title}`, table, verdicts, notes].filter((part) => part !== '').join('\n\n');
}

function losses(results: Results): string {
  const missed = results.answers.flatMap((answer) =>
    answer.verdicts
      .filter(({ pass }) => !pass)
      .map((verdict) => `- ${answer.title}: ${verdictText(verdict)}`),
  );
  return missed.length === 0 ? 'Nothing that must hold was missed in this run.' : missed.join('\n');
}
