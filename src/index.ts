/** The public API: everything that may be imported from `rivercast`. */
export {
  type BroadcasterConfig,
  type Config,
  ConfigError,
  type ConfigInput,
  type HttpConfig,
  type LogConfig,
  type LogLevel,
  loadConfig,
  type ManagerConfig,
  type Role,
  type Store,
} from './config.ts';
export {
  type AttachedServer,
  type AttachOptions,
  type CreateOptions,
  createServer,
  type Published,
  type PublishOptions,
  type Settings,
} from './create-server.ts';
export { ERRORS, type ErrorCode, type ErrorRow, RivercastError, StartError } from './errors.ts';
export type { FollowOptions, LocalSubscription } from './local-subscription.ts';
export { createLogger, type Logger, type LoggerOptions } from './logger.ts';
export { type RunningServer, type ServerStats, startServer } from './server.ts';
export { VERSION } from './version.ts';
