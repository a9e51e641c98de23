/**
 * Runs the questions and prints what came out.
 *
 *   node build/bench/run.js [question…] [--quick] [--write-docs]
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Answer, Bench } from './answer.ts';
import { machine } from './machine.ts';
import { QUESTIONS } from './questions/index.ts';
import { asText, writeDocs } from './report.ts';
import { askInside, canBeEthernet } from './support/ethernet.ts';
import { endAll } from './support/processes.ts';

const EXIT_INTERRUPTED = 130;
/** Those that depend on how much the kernel takes for a peer that does not read. */
const ETHERNET_QUESTIONS: ReadonlySet<string> = new Set(['slow-readers']);

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, 'write-docs': { type: 'boolean', default: false } },
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    endAll();
    process.exit(EXIT_INTERRUPTED);
  });
}

const bench: Bench = { quick: options.quick, say: (line) => process.stdout.write(`${line}\n`) };

async function ask(names: readonly string[]): Promise<{ answers: Answer[]; failed: string[] }> {
  const answers: Answer[] = [];
  const failed: string[] = [];
  for (const name of names) {
    const question = QUESTIONS[name];
    if (question === undefined)
      throw new Error(`unknown question "${name}", not one of ${Object.keys(QUESTIONS).join(', ')}`);
    bench.say(`\n${name}`);
    try {
      const answer = await answerTo(name, question);
      answers.push(answer);
    } catch (error) {
      // One question that cannot be answered must not cost the others.
      failed.push(name);
      bench.say(`  FAIL ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { answers, failed };
}

async function answerTo(name: string, question: (bench: Bench) => Promise<Answer>): Promise<Answer> {
  if (ETHERNET_QUESTIONS.has(name) && canBeEthernet()) {
    const answer = await askInside(name, bench.quick ? ['--quick'] : []);
    if (answer !== null) return answer;
  }
  const answer = await question(bench);
  bench.say(asText(answer));
  return answer;
}

async function main(): Promise<number> {
  const names = positionals.length > 0 ? positionals : Object.keys(QUESTIONS);
  bench.say(machine().join('\n'));
  const { answers, failed } = await ask(names);
  await mkdir('build', { recursive: true });
  const results = { at: new Date().toISOString(), quick: bench.quick, machine: machine(), answers, failed };
  await writeFile(join('build', 'bench-results.json'), `${JSON.stringify(results, null, 2)}\n`);
  if (options['write-docs']) await writeDocs('docs', results);
  const missed = answers.flatMap((answer) => answer.verdicts.filter((verdict) => !verdict.pass));
  bench.say(
    `\n${missed.length + failed.length === 0 ? 'Everything that must hold holds.' : 'Something failed.'}`,
  );
  return missed.length + failed.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} finally {
  endAll();
}
