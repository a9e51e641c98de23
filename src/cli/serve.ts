/**
 * `rivercast serve`: starts the server and stays until it is told to stop or cannot go on.
 *
 *   SIGTERM, SIGINT         graceful stop, exit code 0
 *   SIGHUP                  the certificate is read again
 *   a second SIGINT         exit at once, 130; a second SIGTERM changes nothing
 *   the server failed       graceful stop, exit code 1
 *   something left undone   such as a message that could not be stored: exit code 1
 *   the stop hangs          exit code 1, some seconds after DRAIN_DELAY_SECONDS, DRAIN_SECONDS and DRAIN_TIMEOUT_MS
 */
import type { Config } from '../config.ts';
import type { Logger } from '../logger.ts';
import { type RunningServer, startServer } from '../server.ts';
import { announce } from './welcome.ts';

/** npm and npx repeat a Ctrl-C that the terminal already sent to the whole group: not a second key press. */
const SAME_KEY_PRESS_MS = 50;
/** What a stop may need beyond the draining: closing the log and the listeners. */
const STOP_GRACE_MS = 5000;

/** Resolves to the exit code once the server has stopped. `exit` ends the process at once. */
export async function serve(config: Config, logger: Logger, exit: (code: number) => never): Promise<number> {
  let server: RunningServer | null = null;
  const asked = stopSignal(logger, exit);
  process.on('SIGHUP', () => {
    if (server?.reload() !== true) logger.info('SIGHUP is ignored: there is no certificate to read again');
  });
  const starting = startServer(config, logger);
  const early = await Promise.race([asked, starting]);
  if (typeof early === 'string') {
    // Nothing was accepted yet, and a start may hang (a dead network directory): there is nothing to wait for.
    logger.info({ signal: early }, 'stopped before the start was over');
    return exit(0);
  }
  server = early;
  announce(config, server.addresses, logger);

  const reason = await Promise.race([asked, server.failed]);
  if (reason instanceof Error) logger.fatal({ err: reason }, 'the server cannot go on');
  else logger.info({ signal: reason }, 'stopping');

  const { delayMs, spreadMs, timeoutMs } = config.drain;
  const watchdog = setTimeout(
    () => {
      logger.fatal('the stop took too long');
      exit(1);
    },
    delayMs + spreadMs + timeoutMs + STOP_GRACE_MS,
  );
  const complete = await server.stop();
  clearTimeout(watchdog);
  logger.info('stopped');
  return complete && !(reason instanceof Error) ? 0 : 1;
}

/** Resolves at the first signal to stop, also when it comes before the server has started. */
function stopSignal(logger: Logger, exit: (code: number) => never): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstAt: number | null = null;
    const onSignal = (signal: NodeJS.Signals): void => {
      const now = performance.now();
      if (firstAt === null) {
        firstAt = now;
        resolve(signal);
      } else if (signal === 'SIGINT' && now - firstAt > SAME_KEY_PRESS_MS) {
        logger.warn('interrupted while stopping');
        exit(130);
      }
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
