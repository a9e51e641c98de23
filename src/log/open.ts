/** Opens the log that the configuration asks for. Only the library of that store is loaded. */
import { retentionBy } from '../channels.ts';
import type { Clock } from '../clock.ts';
import type { LogConfig } from '../config.ts';
import type { Logger } from '../logger.ts';
import type { Log } from './log.ts';

interface OpenLogOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called once, when the store failed for good and nothing more can be acknowledged. */
  readonly onFailure: (error: Error) => void;
}

/** Rejects with StartError. */
export async function openLog(config: LogConfig, { clock, logger, onFailure }: OpenLogOptions): Promise<Log> {
  const retention = retentionBy(config.retention, config.retentionRules);
  const { idempotency } = config;
  switch (config.store) {
    case 'memory': {
      const { MemoryLog } = await import('./memory.ts');
      return new MemoryLog({ clock, retention, idempotency, logger });
    }
    case 'embedded': {
      const { EmbeddedLog } = await import('./embedded.ts');
      return EmbeddedLog.open({
        dataDir: config.dataDir,
        clock,
        retention,
        idempotency,
        logger,
        onFailure,
      });
    }
    case 'redis': {
      const { RedisLog } = await import('./redis.ts');
      return RedisLog.open({
        url: config.redisUrl as string,
        caFile: config.redisCaFile,
        stream: config.stream,
        clock,
        retention,
        durability: config.durability,
        idempotency: config.idempotency,
        logger,
      });
    }
  }
}
