/** An epoch names one unbroken history of a channel; a new one is drawn whenever history was lost. */
import { randomBytes } from 'node:crypto';

/** 48 random bits as 12 hex digits: enough to tell apart the few epochs one channel ever has. */
export function newEpoch(): string {
  return randomBytes(6).toString('hex');
}
