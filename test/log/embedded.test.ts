import type { TestContext } from 'node:test';
import { EmbeddedLog } from '../../src/log/embedded.ts';
import { type LogFixture, type LogSettings, logContract } from '../contract/log.contract.ts';
import { ManualClock } from '../support/clock.ts';
import { tempDir } from '../support/temp-dir.ts';

async function openFixture(t: TestContext, { retention }: LogSettings): Promise<LogFixture> {
  const clock = new ManualClock();
  const dataDir = await tempDir(t, () => log.close());
  const open = (): Promise<EmbeddedLog> => EmbeddedLog.open({ dataDir, clock, retention });
  let log = await open();
  const reopen = async (): Promise<EmbeddedLog> => {
    await log.close();
    log = await open();
    return log;
  };
  return { log, clock, reopen };
}

logContract('embedded', openFixture);
