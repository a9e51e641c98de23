/**
 * A process that appends until its standard input ends, and prints `ack <number> <id>` once an append has
 * resolved. Arguments: the URL of Redis, and the name of this run.
 */
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { systemClock } from '../../src/clock.ts';
import { RedisLog } from '../../src/log/redis.ts';

const [url = '', run = ''] = process.argv.slice(2);
const CHANNEL = 'local-q';

const log = await RedisLog.open({
  url,
  stream: CHANNEL,
  clock: systemClock,
  retention: () => DEFAULT_RETENTION,
  deadlines: { appendMs: 1000, connectMs: 500 },
});
const ended = new AbortController();
process.stdin.on('end', () => ended.abort());
process.stdin.resume();

for (let number = 0; !ended.signal.aborted; ) {
  const first = number;
  const size = 1 + (first % 40);
  const entries = Array.from({ length: size }, (_, i) => ({
    type: 'text' as const,
    data: Buffer.from(`${run} ${first + i} ${'x'.repeat(((first + i) * 37) % 2000)}`),
  }));
  number += size;
  const results = await log.append(CHANNEL, entries);
  process.stdout.write(results.map(({ id }, i) => `ack ${first + i} ${id}\n`).join(''));
}
await log.close();
