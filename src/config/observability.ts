/** The rows of the table of settings (config.ts) about numbers, and traces, of what the process does. */
import { isChannelsPattern, PATTERN_RULE } from '../channels.ts';
import { BOOLEAN, explained, type Rows } from './rows.ts';
import type { ChannelClass, Explained } from './shape.ts';

export interface ObservabilityValues {
  METRICS: boolean;
  TRACING: boolean;
  CHANNEL_CLASSES: readonly ChannelClass[] | undefined;
}

/** Each is a value of a label, so that there must be few. */
const MAX_CLASSES = 20;
const CLASS_NAME = /^[a-z][a-z0-9_]{0,31}$/;
/** Names that other channels have already. */
const TAKEN = new Set(['default', 'other', 'none', 'several']);

export const OBSERVABILITY_ROWS: Rows<ObservabilityValues> = {
  METRICS: {
    schema: BOOLEAN,
    initial: 'on',
    allowed: '`on`, `off`',
    description:
      'Whether `GET /metrics` answers, in the format of Prometheus. Off, nothing is measured for it.',
    boolean: true,
  },
  CHANNEL_CLASSES: {
    schema: explained(parseClasses),
    initial: '',
    allowed: `at most ${MAX_CLASSES} of \`pattern=class\`, separated by \`;\`, such as \`scores:*=scores; chat:*=chat\``,
    description:
      'Names for kinds of channels, under which the connections are told apart in the metrics. The others are `default`, the default channel, and `other`.',
  },
  TRACING: {
    schema: BOOLEAN,
    initial: 'off',
    allowed: '`on`, `off`',
    description:
      'Whether spans are made through the API of OpenTelemetry, for the SDK that the process was started with.',
    boolean: true,
  },
};

function parseClasses(text: string): Explained<readonly ChannelClass[]> {
  const classes: ChannelClass[] = [];
  for (const piece of text.split(';').map((part) => part.trim())) {
    if (piece === '') continue;
    const [channels = '', name = '', more] = piece.split('=').map((part) => part.trim());
    if (more !== undefined || !isChannelsPattern(channels)) {
      return { wrong: `${JSON.stringify(channels.slice(0, 200))} must be ${PATTERN_RULE}` };
    }
    if (!CLASS_NAME.test(name) || TAKEN.has(name)) {
      return {
        wrong: `a class is 1 to 32 of a-z, 0-9 and _, beginning with a letter, and none of ${[...TAKEN].join(', ')}`,
      };
    }
    if (classes.some((other) => other.channels === channels)) return { wrong: `${channels} is named twice` };
    classes.push({ channels, name });
  }
  if (classes.length > MAX_CLASSES) return { wrong: `there are more than ${MAX_CLASSES}` };
  return { ok: classes };
}
