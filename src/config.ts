/**
 * Loads the configuration. Every setting is a row in src/config/*.ts, once: the rows make the environment variables, the
 * command line flags, the frozen Config, the messages about bad values and docs/configuration.md. A setting comes from its flag, else
 * from its environment variable (an empty one counts as absent), else from its default; all three are text
 * and go through the same parser. Nothing else in the program reads process.env.
 */
import type { z } from 'zod';
import { assemble } from './config/assemble.ts';
import { contradictions } from './config/contradictions.ts';
import type { Row } from './config/rows.ts';
import type { Config } from './config/shape.ts';
import { SCHEMA, SECTIONS } from './config/table.ts';
import { redactSecret } from './config/values.ts';
import { StartError } from './errors.ts';

export type {
  AddressRange,
  AuthConfig,
  BroadcasterConfig,
  Config,
  HttpConfig,
  LimitsConfig,
  LogConfig,
  LogLevel,
  ManagerConfig,
  Role,
  Store,
  TlsFiles,
} from './config/shape.ts';
export { ROLES } from './config/shape.ts';

export interface ConfigInput {
  /** Default: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** By the camel-case name of the setting (`redisUrl`), as a command line parser gives them. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

/** One or more settings are wrong: a line for each, with its name, its value and what is allowed. */
export class ConfigError extends StartError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'), 2);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** What documentation and command line need to know of a setting. */
export interface Setting {
  /** The environment variable: `REDIS_URL`. */
  readonly name: string;
  /** The command line flag: `--redis-url`. */
  readonly flag: string;
  /** The key among the flags: `redisUrl`. */
  readonly key: string;
  readonly section: string;
  /** As one would write it; empty = no value. */
  readonly defaultValue: string;
  readonly description: string;
  readonly allowed: string;
  readonly secret: boolean;
  /** Given alone on the command line, it means `true`. */
  readonly boolean: boolean;
}

export const SETTINGS: readonly Setting[] = Object.entries(SECTIONS).flatMap(([section, rows]) =>
  Object.entries<Row>(rows).map(([name, row]) => {
    const kebab = name.toLowerCase().replaceAll('_', '-');
    return {
      name,
      flag: `--${kebab}`,
      key: kebab.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      section,
      defaultValue: row.initial,
      description: row.description,
      allowed: row.allowed,
      secret: row.secret ?? false,
      boolean: row.boolean ?? false,
    };
  }),
);

/** The frozen configuration, or a ConfigError that names everything wrong with it at once. */
export function loadConfig(input: ConfigInput = {}): Config {
  const { env = process.env, flags = {} } = input;
  const raw: Record<string, string | undefined> = {};
  for (const setting of SETTINGS) raw[setting.name] = rawValue(setting, env, flags);

  const known = new Set(SETTINGS.map((setting) => setting.key));
  const problems = Object.keys(flags)
    .filter((key) => !known.has(key))
    .map((key) => `${JSON.stringify(key)} is not a setting`);
  const result = SCHEMA.safeParse(raw);
  if (result.success) problems.push(...contradictions(result.data));
  else problems.push(...mistakes(result.error.issues, raw, flags));
  if (!result.success || problems.length > 0) throw new ConfigError(problems);
  return freeze(assemble(result.data));
}

/** A line for each setting that has a bad value, in the order of the table. */
function mistakes(
  issues: readonly z.core.$ZodIssue[],
  raw: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, unknown>>,
): string[] {
  const wrong = new Map(issues.map((issue) => [issue.path[0], issue]));
  return SETTINGS.flatMap((setting) => {
    const issue = wrong.get(setting.name);
    if (issue === undefined) return [];
    const reason = issue.code === 'custom' && issue.params?.['isExplained'] === true ? issue.message : null;
    return [describeProblem(setting, raw[setting.name] ?? '', { flags, reason })];
  });
}

/** Lists: none is a value too. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(['ALLOWED_ORIGINS', 'AUTH_AUDIENCE', 'TRUST_PROXY']);

function rawValue(
  setting: Setting,
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, unknown>>,
): string | undefined {
  const flag = flags[setting.key];
  if (flag !== undefined) return typeof flag === 'string' ? flag : JSON.stringify(flag);
  const value = env[setting.name]?.trim() || setting.defaultValue;
  return value === '' && !MAY_BE_EMPTY.has(setting.name) ? undefined : value;
}

function describeProblem(
  setting: Setting,
  value: string,
  { flags, reason }: { flags: Readonly<Record<string, unknown>>; reason: string | null },
): string {
  const shown = JSON.stringify(setting.secret ? redactSecret(value) : value.slice(0, 200));
  const where = flags[setting.key] === undefined ? `${setting.name}=` : `${setting.flag} `;
  const why = reason === null ? '' : `: ${reason}`;
  return `${where}${shown} is not allowed${why}. Allowed: ${setting.allowed.replaceAll('`', '')}.`;
}

function freeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}
