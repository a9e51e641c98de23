/** A data directory put back from a backup: what was written since is lost, and told to whoever had it. */
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { DEFAULT_RETENTION } from '../../src/channels.ts';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import { ManualClock } from '../support/clock.ts';
import { START, texts } from '../support/redis-log.ts';
import { tempDir } from '../support/temp-dir.ts';
import { FORMS, followLive, followToEnd, inForm } from './follow.ts';

const RESTORED = {
  'the tip is behind the cursor': [],
  'the tip is past the cursor, as the clock went on': ['x', 'y', 'z'],
} as const;

for (const [when, written] of Object.entries(RESTORED)) {
  describe(`a backup put back, when ${when}`, () => {
    for (const form of FORMS) {
      test(`is a reset for ${form}, and then all that was written after it`, async (t) => {
        const parent = await tempDir(t);
        const clock = new ManualClock();
        const dataDir = `${parent}/data`;
        const open = (): Promise<EmbeddedLog> =>
          EmbeddedLog.open({ dataDir, clock, retention: () => DEFAULT_RETENTION });
        let log = await open();
        await log.append('c', texts('a', 'b'));
        await log.close();
        await cp(dataDir, `${parent}/backup`, { recursive: true, filter: (path) => !path.endsWith('.sock') });
        log = await open();
        await log.append('c', texts('c', 'd'));
        const { end } = await followLive(log, 'c', START, 4);
        await log.close();
        await rm(dataDir, { recursive: true });
        await cp(`${parent}/backup`, dataDir, { recursive: true });
        clock.advance(1000);
        log = await open();
        if (written.length > 0) await log.append('c', texts(...written));
        const told = await followToEnd(log, 'c', inForm(end, form));
        assert.deepEqual([told.told, told.texts], [['reset'], [...written]]);
        await log.append('c', texts('more'));
        const rest = await followToEnd(log, 'c', told.end);
        assert.deepEqual([rest.told, rest.texts], [[], ['more']]);
        await log.close();
      });
    }
  });
}
