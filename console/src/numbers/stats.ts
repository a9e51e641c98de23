/** What `GET /api/stats` and `GET /readyz` answer, as far as it is shown. */

export interface Step {
  /** Null: more than the one before. */
  readonly upTo: number | null;
  /** Since the start. */
  readonly times: number;
}

export interface Stats {
  readonly version: string;
  readonly role: string;
  readonly store: string;
  readonly uptimeSeconds: number;
  readonly log: {
    readonly up: boolean;
    readonly since: string;
    readonly trouble: string | null;
    readonly durability: string | null;
  };
  readonly connections: {
    readonly sockets: number;
    readonly kinds: readonly { readonly role: string; readonly format: string; readonly count: number }[];
  };
  readonly lag: {
    readonly worstEntries: number;
    readonly worstSeconds: number;
    readonly trimEdge: { readonly worstRatio: number; readonly near: number };
  } | null;
  /** In seconds; null where nothing is measured. */
  readonly seconds: { readonly append: readonly Step[]; readonly delivery: readonly Step[] } | null;
  readonly manager: { readonly stored: number; readonly unstoredBytes: number } | null;
  readonly broadcaster: {
    readonly sent: Readonly<Record<string, { readonly entries: number; readonly bytes: number }>>;
    readonly subscriptions: number;
    readonly channels: number;
    readonly ringBytes: number;
    readonly stalled: number;
  } | null;
  readonly process: {
    /** Another for each process, and for each start. */
    readonly id: string;
    readonly residentBytes: number;
    readonly cpuSeconds: number;
    readonly openFds: number | null;
    readonly maxFds: number | null;
    readonly loopDelayMaxMs: number | null;
  };
}

export interface Readiness {
  readonly status: 'ready' | 'unavailable';
  readonly reason?: string;
  readonly checks: Readonly<Record<string, string | boolean>>;
}

/**
 * The value below which `share` of what happened between two readings lies, by straight lines within the steps; null when
 * nothing happened.
 */
export function quantile(before: readonly Step[], after: readonly Step[], share: number): number | null {
  const times = after.map((step, at) => step.times - (before[at]?.times ?? 0));
  const all = times.reduce((sum, one) => sum + one, 0);
  if (all <= 0) return null;
  let below = 0;
  let from = 0;
  for (const [at, { upTo }] of after.entries()) {
    const here = times[at] ?? 0;
    if (upTo === null) return from;
    if (below + here >= all * share)
      return from + ((all * share - below) / Math.max(1, here)) * (upTo - from);
    below += here;
    from = upTo;
  }
  return from;
}
