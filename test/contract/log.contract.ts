/**
 * What every Log does, whatever keeps its entries. A store's own test file calls `logContract` with a way to
 * open it; abilities that not every store has are optional in the fixture, and the tests that need one are
 * skipped where it is missing.
 *
 * Every test uses channels of its own, so a store may be shared by several tests.
 */
import { describe } from 'node:test';
import type { OpenLog } from './log/fixture.ts';
import { gapTests } from './log/gaps.ts';
import { idempotencyTests } from './log/idempotency.ts';
import { lifetimeTests } from './log/lifetime.ts';
import { readingTests } from './log/reading.ts';
import { startingTests } from './log/starting.ts';
import { trimmingTests } from './log/trimming.ts';
import { waitingTests } from './log/waiting.ts';

export type { LogFixture, LogSettings, OpenLog } from './log/fixture.ts';

export function logContract(name: string, open: OpenLog): void {
  describe(`the log contract: ${name}`, () => {
    readingTests(open);
    waitingTests(open);
    startingTests(open);
    trimmingTests(open);
    gapTests(open);
    lifetimeTests(open);
    idempotencyTests(open);
  });
}
