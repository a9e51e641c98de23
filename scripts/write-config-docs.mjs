/**
 * Writes docs/configuration.md from the rows in src/config/*.ts, as dist/config.js has them. With --check it writes nothing and fails
 * when the file is not what it would write.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { SETTINGS } from '../dist/config.js';

const FILE = 'docs/configuration.md';

const INTRODUCTION = `# Configuration

<!-- Written by scripts/write-config-docs.mjs from the rows in src/config/*.ts. Change them there, then \`npm run docs:config\`. -->

Each setting has an environment variable and a flag of \`rivercast serve\`. The flag wins; an empty variable counts
as absent. A value that is not allowed, an unknown flag, or settings that contradict each other stop the start with
exit code 2 and a line for each that names it, its value and what is allowed.

- **Sizes** take a unit: \`65536\`, \`64kib\`, \`1mib\`, \`2gib\` (powers of 1024) or \`64kb\`, \`1mb\`, \`2gb\` (powers of 1000).
- **Times** take a unit: \`500\` or \`500ms\`, \`30s\`, \`5m\`, \`12h\`, \`7d\`.
- **Secrets** are never printed. Prefer the variable for them: other users of the machine can read the flags of a process.

Log lines go to stderr: JSON, one object a line, or readable text when stderr is a terminal.
`;

const sections = [...new Set(SETTINGS.map((setting) => setting.section))];
const text = [INTRODUCTION, ...sections.map(describeSection)].join('\n');

if (process.argv.includes('--check')) {
  if (readOrEmpty() !== text) {
    console.error(`${FILE} is not up to date: run \`npm run docs:config\`.`);
    process.exit(1);
  }
} else {
  writeFileSync(FILE, text);
}

function describeSection(section) {
  const rows = SETTINGS.filter((setting) => setting.section === section).map((setting) => [
    `\`${setting.name}\`<br>\`${setting.flag}\``,
    setting.defaultValue === '' ? '' : `\`${setting.defaultValue}\``,
    setting.secret ? `${setting.description} A secret.` : setting.description,
    setting.allowed,
  ]);
  const table = [['Setting', 'Default', 'What it does', 'Allowed'], ['---', '---', '---', '---'], ...rows];
  const lines = table.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  return `## ${section}\n\n${lines.join('\n')}\n`;
}

function readOrEmpty() {
  try {
    return readFileSync(FILE, 'utf8');
  } catch {
    return '';
  }
}
