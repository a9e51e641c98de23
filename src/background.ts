/** The one way to start work that nobody awaits: its failure is told, never swallowed and never unhandled. */
import type { Logger } from './logger.ts';

export function background(name: string, work: Promise<unknown>, logger: Pick<Logger, 'error'>): void {
  work.catch((error: unknown) => logger.error({ err: error }, `${name} failed`));
}
