/** The list of channels and the sweep, in every store. */
import { after, before, describe } from 'node:test';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import { MemoryLog } from '../../src/log/memory.ts';
import type { OpenLog } from '../contract/log/fixture.ts';
import { listingTests, sweepingTests } from '../contract/log/sweeping.ts';
import { ManualClock } from '../support/clock.ts';
import { openLog } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { tempDir } from '../support/temp-dir.ts';

let server: RedisServer;

before(async () => {
  server = await RedisServer.start();
});

after(async () => {
  await server[Symbol.asyncDispose]();
});

const stores: Readonly<Record<string, OpenLog>> = {
  memory: async (t, settings) => {
    const clock = new ManualClock();
    const log = new MemoryLog({ clock, ...settings });
    t.after(() => log.close());
    return { log, clock };
  },
  embedded: async (t, settings) => {
    const clock = new ManualClock();
    const dataDir = await tempDir(t, () => log.close());
    const log = await EmbeddedLog.open({ dataDir, clock, ...settings });
    return { log, clock };
  },
  redis: async (t, { retention, channelTtlMs }) => {
    const sweepTimes = channelTtlMs === undefined ? {} : { channelTtlMs };
    const deadlines = { checkMs: 100 };
    const log = await openLog(t, server.url, { retention, sweepTimes, deadlines });
    return { log, retentionSlack: 100 };
  },
};

for (const [name, open] of Object.entries(stores)) {
  describe(`the channels of the log: ${name}`, () => {
    listingTests(open);
    sweepingTests(open);
  });
}
