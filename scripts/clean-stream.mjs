/**
 * Removes all entries of the default channel from Redis. The stream keeps its last id, so subscribers that
 * resume from before are told of a gap instead of silently missing what was removed.
 *
 *   REDIS_URL (default redis://127.0.0.1:6379)   STREAM (default local-q)
 */
import { Redis } from 'ioredis';
import { redactUrl } from '../dist/config.js';

const url = process.env.REDIS_URL || 'redis://127.0.0.1:6379';
const stream = process.env.STREAM || 'local-q';

const redis = new Redis(url, { lazyConnect: true, retryStrategy: null, maxRetriesPerRequest: 0 });
// connect() only says that the connection is closed; the event has the cause.
let cause;
redis.on('error', (error) => {
  cause ??= error;
});
try {
  await redis.connect();
  const removed = await redis.xtrim(stream, 'MAXLEN', 0);
  console.log(`Entries removed from ${stream} in ${redactUrl(url)}: ${removed}.`);
} catch (error) {
  console.error(`clean-stream: ${redactUrl(url)}: ${(cause ?? error).message}`);
  process.exitCode = 1;
} finally {
  redis.disconnect();
}
