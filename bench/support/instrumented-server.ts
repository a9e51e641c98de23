/**
 * Rivercast started from its own modules instead of its command line, so that what only the process itself
 * knows can be asked for: its longest slice, how late its event loop runs, its memory after a collection.
 */
import { keepYoungGenerationSmall } from '../../src/cli/young-generation.ts';
import { loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/logger.ts';
import { type ServerStats, startServer } from '../../src/server.ts';
import { answerCalls } from './calls.ts';
import { type InstrumentCalls, instruments } from './instruments.ts';

export type InstrumentedCalls = InstrumentCalls & {
  readonly stats: { readonly ask: null; readonly answer: ServerStats };
};

keepYoungGenerationSmall();
const config = loadConfig();
const server = await startServer(config, createLogger({ level: config.logLevel }));
answerCalls<InstrumentedCalls>({ ...instruments(), stats: () => server.stats() });
process.once('SIGTERM', () => {
  server.stop().then(
    (complete) => process.exit(complete ? 0 : 1),
    () => process.exit(1),
  );
});
