/** What a run may find. */

export type Fault = 'lost' | 'duplicated' | 'out of order' | 'unexplained gap' | 'foreign' | 'misbehaved';

export interface Violation {
  readonly fault: Fault;
  /** Who says so, what is wrong, and what was around it. */
  readonly account: string;
}
