/** All rows of the table of settings, by the section of the documentation they stand in. */
import { z } from 'zod';
import { AUTH_ROWS, type AuthValues } from './auth.ts';
import { BROADCASTER_ROWS, type BroadcasterValues } from './broadcaster.ts';
import { HTTP_ROWS, type HttpValues } from './http.ts';
import { LIMIT_ROWS, type LimitValues } from './limits.ts';
import { LOG_ROWS, type LogValues } from './log.ts';
import { MANAGER_ROWS, type ManagerValues } from './manager.ts';
import { OBSERVABILITY_ROWS, type ObservabilityValues } from './observability.ts';
import { PROCESS_ROWS, type ProcessValues } from './process.ts';
import { QUOTA_ROWS, type QuotaValues } from './quotas.ts';
import type { Row, Rows } from './rows.ts';
import { TLS_ROWS, type TlsValues } from './tls.ts';

/** The settings, each read and fine alone. */
export type Values = ProcessValues &
  HttpValues &
  TlsValues &
  AuthValues &
  QuotaValues &
  LimitValues &
  LogValues &
  ManagerValues &
  BroadcasterValues &
  ObservabilityValues;

export const SECTIONS: Readonly<Record<string, Readonly<Record<string, Row>>>> = {
  Process: { ...PROCESS_ROWS },
  Listening: { ...HTTP_ROWS },
  TLS: { ...TLS_ROWS },
  'Identity and permission': { ...AUTH_ROWS },
  'Quotas: what one may have': { ...QUOTA_ROWS },
  'Limits: what one may cost': { ...LIMIT_ROWS },
  Log: { ...LOG_ROWS },
  Manager: { ...MANAGER_ROWS },
  Broadcaster: { ...BROADCASTER_ROWS },
  Observability: { ...OBSERVABILITY_ROWS },
};

const TABLE: Rows<Values> = {
  ...PROCESS_ROWS,
  ...HTTP_ROWS,
  ...TLS_ROWS,
  ...AUTH_ROWS,
  ...QUOTA_ROWS,
  ...LIMIT_ROWS,
  ...LOG_ROWS,
  ...MANAGER_ROWS,
  ...BROADCASTER_ROWS,
  ...OBSERVABILITY_ROWS,
};

export const SCHEMA: z.ZodType<Values> = z.object(
  Object.fromEntries(Object.entries<Row>(TABLE).map(([name, row]) => [name, row.schema])),
) as unknown as z.ZodType<Values>;
