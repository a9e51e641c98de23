import { MemoryLog } from '../../src/log/memory.ts';
import { logContract } from '../contract/log.contract.ts';
import { ManualClock } from '../support/clock.ts';

logContract('memory', async (t, { retention, idempotency }) => {
  const clock = new ManualClock();
  const log = new MemoryLog({ clock, retention, ...(idempotency && { idempotency }) });
  t.after(() => log.close());
  return { log, clock };
});
