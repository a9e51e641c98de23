/**
 * Log lines go to stderr, so that stdout holds only what a command was asked for: JSON, one object a line, or
 * readable text when stderr is a terminal. Both are written synchronously: the last line before an exit is
 * the one that is needed.
 *
 * Secrets stay out by three rules: fields named after one are masked; an error is reduced to its type, code,
 * message, stack and cause (a Redis error carries the arguments of its command, AUTH's password among them);
 * and whatever else looks like a URL with a password or a token is masked in the finished line.
 */
import { type DestinationStream, destination, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';
import { PinoPretty } from 'pino-pretty';
import { redactText } from './config/values.ts';
import type { LogLevel } from './config.ts';

export type Logger = PinoLogger;

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Where lines go instead of stderr. */
  readonly stream?: DestinationStream;
}

const SECRET_FIELDS = ['password', 'token', 'authorization', 'cookie', 'secret'];

export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError, error: describeError },
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
        censor: '***',
      },
      hooks: { streamWrite: redactText },
    },
    options.stream ?? stderr(),
  );
}

function stderr(): DestinationStream {
  const plain = destination({ fd: 2, sync: true });
  if (!process.stderr.isTTY) return plain;
  return PinoPretty({
    destination: plain,
    sync: true,
    singleLine: true,
    ignore: 'pid',
    translateTime: 'SYS:HH:MM:ss.l',
  });
}

/** Deeper chains than this are cycles. */
const MAX_CAUSES = 5;

function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error;
  const { code, cause } = error as Error & { code?: unknown };
  return {
    type: error.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    message: error.message,
    stack: error.stack,
    ...(cause === undefined || depth >= MAX_CAUSES ? {} : { cause: describeError(cause, depth + 1) }),
  };
}
