/** `rivercast completion`: what a shell needs to complete commands and their flags, made from the commands themselves. */
import { type Command, Option } from 'commander';
import { StartError } from '../errors.ts';
import { addExamples } from './examples.ts';
import { addSettings } from './flags.ts';
import { nearest } from './suggest.ts';

interface Word {
  readonly word: string;
  readonly description: string;
}

interface Completed extends Word {
  readonly flags: readonly Word[];
}

const SHELLS: Readonly<Record<string, (commands: readonly Completed[]) => string>> = { bash, zsh, fish };

const EXAMPLES = [
  'source <(rivercast completion bash)',
  'rivercast completion zsh > "${fpath[1]}/_rivercast"',
  'rivercast completion fish > ~/.config/fish/completions/rivercast.fish',
];

export function addCompletion(program: Command): void {
  const command = program
    .command('completion <shell>')
    .description('print a script that completes commands and flags: bash, zsh or fish');
  addExamples(command, EXAMPLES).action(async (shell: string) => {
    const script = SHELLS[shell];
    if (script === undefined) {
      const meant = nearest(shell, Object.keys(SHELLS));
      throw new StartError(
        `there are scripts for bash, zsh and fish, not for ${JSON.stringify(shell)}${meant === null ? '' : ` (Did you mean ${meant}?)`}`,
        2,
      );
    }
    for (const each of program.commands) await addSettings(each);
    command.configureOutput().writeOut?.(script(program.commands.map(completed)));
  });
}

function completed(command: Command): Completed {
  const flags = [...command.options, new Option('--help', 'print the help')];
  return {
    word: command.name(),
    description: short(command.description()),
    flags: flags.map(({ long, description }) => ({ word: long ?? '', description: short(description) })),
  };
}

/** What stands in quotes in three shells: the beginning, without what would end them. */
function short(text: string): string {
  return text
    .replaceAll(/["'`$\\[\]:]/g, '')
    .replace(/ \(env .*$/, '')
    .slice(0, 70);
}

function words(list: readonly Word[]): string {
  return list.map(({ word }) => word).join(' ');
}

function bash(commands: readonly Completed[]): string {
  const cases = commands.map((command) => `    ${command.word}) words="${words(command.flags)}" ;;`);
  return `# rivercast completion bash
_rivercast() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words=""
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words="${words(commands)} --help --version"; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _rivercast rivercast
`;
}

function zsh(commands: readonly Completed[]): string {
  const described = (list: readonly Word[]): string =>
    list.map(({ word, description }) => `'${word}:${description}'`).join(' ');
  const cases = commands.map((command) => `    ${command.word}) found=(${described(command.flags)}) ;;`);
  return `#compdef rivercast
_rivercast() {
  local -a found
  if (( CURRENT == 2 )); then
    found=(${described(commands)})
    _describe 'command' found
    return
  fi
  case "$words[2]" in
${cases.join('\n')}
  esac
  if [[ "$PREFIX" == -* ]]; then _describe 'flag' found; else _files; fi
}
# Found by its name in a folder of $fpath, it is run at the first completion, which is then to be made.
if [[ "$funcstack[1]" == _rivercast ]]; then _rivercast "$@"; else compdef _rivercast rivercast; fi
`;
}

function fish(commands: readonly Completed[]): string {
  const lines = commands.flatMap(({ word, description, flags }) => [
    `complete -c rivercast -n __fish_use_subcommand -a ${word} -d '${description}'`,
    ...flags.map(
      (flag) =>
        `complete -c rivercast -n '__fish_seen_subcommand_from ${word}' -l ${flag.word.slice(2)} -d '${flag.description}'`,
    ),
  ]);
  return `# rivercast completion fish\n${lines.join('\n')}\n`;
}
