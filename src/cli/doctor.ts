/** `rivercast doctor`: looks at this machine with the eyes of a server that would start here, and advises. */
import type { Command } from 'commander';
import {
  checkBacklog,
  checkClock,
  checkDisk,
  checkFiles,
  checkLog,
  checkNode,
  checkPorts,
  checkRedis,
  type Finding,
  textOf,
} from './checks.ts';
import { checkApiKeys, checkCertificate } from './credential-checks.ts';
import { addExamples } from './examples.ts';
import { takeSettings } from './flags.ts';
import { print } from './output.ts';
import { paint, type Style } from './terminal.ts';

const NOTE = `It reads the environment, and takes every flag of serve. Exit code 0: nothing is in the way, perhaps with advice; 1: something is.`;

const EXAMPLES = [
  'rivercast doctor',
  'REDIS_URL=redis://127.0.0.1:6379 rivercast doctor',
  'rivercast doctor --port 80 --data-dir /var/lib/rivercast',
  'rivercast doctor --json | jq \'select(.verdict != "ok")\'',
];

const MARKS: Readonly<Record<Finding['verdict'], readonly [mark: string, style: Style]>> = {
  ok: ['ok  ', 'green'],
  warn: ['warn', 'yellow'],
  fail: ['FAIL', 'red'],
};

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .description('look whether this machine is ready for a server, and advise')
    .option('--json', 'a JSON object for each finding');
  addExamples(takeSettings(command, { isHidden: true }), EXAMPLES, NOTE).action(
    async ({ json, ...flags }: Readonly<Record<string, unknown>>) => {
      const findings = await examine(flags);
      const lines = findings.map(json === true ? (finding) => `${JSON.stringify(finding)}\n` : lineOf);
      await print(lines.join(''));
      process.exitCode = findings.some(({ verdict }) => verdict === 'fail') ? 1 : 0;
    },
  );
}

async function examine(flags: Readonly<Record<string, unknown>>): Promise<Finding[]> {
  const { ConfigError, loadConfig } = await import('../config.ts');
  const node = checkNode(process.version);
  try {
    const config = loadConfig({ flags });
    return [
      node,
      checkLog(config),
      checkFiles(textOf('/proc/self/limits'), config),
      checkBacklog(textOf('/proc/sys/net/core/somaxconn')),
      checkClock(Date.now()),
      ...checkCertificate(config, Date.now()),
      ...checkApiKeys(config),
      ...(await checkPorts(config)),
      ...checkDisk(config, Date.now()),
      ...(await checkRedis(config)),
    ];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [node, ...error.problems.map((found): Finding => ({ name: 'settings', verdict: 'fail', found }))];
  }
}

function lineOf({ name, verdict, found, advice }: Finding): string {
  const [mark, style] = MARKS[verdict];
  const line = `${paint(style, mark)}  ${name.padEnd(18)}${found}\n`;
  return advice === undefined ? line : `${line}${' '.repeat(24)}${paint('bold', '→')} ${advice}\n`;
}
