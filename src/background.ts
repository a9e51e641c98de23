/** The one way to start work that nobody awaits: its failure is told, never swallowed and never unhandled. */

/** The part of a logger that is needed to tell of a failure. */
export interface FailureLogger {
  error(fields: object, message: string): void;
}

export function background(name: string, work: Promise<unknown>, logger: FailureLogger): void {
  work.catch((error: unknown) => logger.error({ err: error }, `${name} failed`));
}
