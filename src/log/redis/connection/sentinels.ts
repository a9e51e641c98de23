/**
 * Asks the sentinels where the master is: all at once, because one that does not answer must not hold up a
 * failover; and the majority counts, because one that was cut off may still name the old master.
 */
import { Link, RedisFault } from './link.ts';
import type { Endpoint, SentinelTarget } from './target.ts';

export interface Master {
  readonly host: string;
  readonly port: number;
  /** Whether more than half of the sentinels name it. */
  readonly isCertain: boolean;
}

/** Once one sentinel has answered, the others have so long to do it too. */
const GRACE_MS = 300;

export class Sentinels {
  readonly #target: SentinelTarget;
  /** Opened once for all who ask at the same time. */
  readonly #links = new Map<Endpoint, Promise<Link>>();
  #closed = false;

  constructor(target: SentinelTarget) {
    this.#target = target;
  }

  /** The master that most name; rejects with a RedisFault when none does. */
  async master(deadlineMs: number, signal: AbortSignal): Promise<Master> {
    const { endpoints, masterName } = this.#target;
    const asked = endpoints.map((endpoint) => this.#ask(endpoint, deadlineMs, signal));
    const { votes, faults } = await count(asked, endpoints.length / 2);
    const [winner] = [...votes].toSorted(([, one], [, other]) => other - one);
    if (winner === undefined) throw nobodyKnows(masterName, faults);
    const [address, voices] = winner;
    const colon = address.lastIndexOf(':');
    return {
      host: address.slice(0, colon),
      port: Number(address.slice(colon + 1)),
      isCertain: voices > endpoints.length / 2,
    };
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.then(close, ignore);
  }

  /** The master's address; null when this sentinel knows of none by the name. */
  async #ask(endpoint: Endpoint, deadlineMs: number, signal: AbortSignal): Promise<string | null> {
    const link = await this.#link(endpoint, deadlineMs, signal);
    const args = ['get-master-addr-by-name', this.#target.masterName];
    const reply = await link.call('sentinel', args, deadlineMs);
    return Array.isArray(reply) ? `${String(reply[0])}:${String(reply[1])}` : null;
  }

  async #link(endpoint: Endpoint, deadlineMs: number, signal: AbortSignal): Promise<Link> {
    const known = this.#links.get(endpoint);
    const link = await known?.catch(ignore);
    if (link?.alive === true) return link;
    // Somebody else may have been first.
    if (this.#links.get(endpoint) !== known) return this.#link(endpoint, deadlineMs, signal);
    const opening = Link.open(endpoint, deadlineMs, signal);
    this.#links.set(endpoint, opening);
    if (this.#closed) opening.then(close, ignore);
    return opening;
  }
}

function close(link: Link): void {
  link.destroy('closed');
}

function ignore(): undefined {
  return undefined;
}

interface Count {
  /** Voices by address. */
  readonly votes: ReadonlyMap<string, number>;
  /** Why there is no address, for each sentinel without one; null when it does not know the master. */
  readonly faults: readonly (RedisFault | null)[];
}

/** Until all have answered, or more than `half` agree, or some time after the first answer. */
function count(asked: readonly Promise<string | null>[], half: number): Promise<Count> {
  const votes = new Map<string, number>();
  const faults: (RedisFault | null)[] = [];
  return new Promise((resolve) => {
    let left = asked.length;
    let timer: NodeJS.Timeout | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      resolve({ votes: new Map(votes), faults });
    };
    const told = (address: string | null): void => {
      left -= 1;
      if (address === null) faults.push(null);
      else {
        votes.set(address, (votes.get(address) ?? 0) + 1);
        timer ??= setTimeout(finish, GRACE_MS);
      }
      if (left === 0 || (votes.get(address ?? '') ?? 0) > half) finish();
    };
    const failed = (error: unknown): void => {
      faults.push(error instanceof RedisFault ? error : new RedisFault('connection', String(error)));
      left -= 1;
      if (left === 0) finish();
    };
    for (const one of asked) one.then(told, failed);
  });
}

function nobodyKnows(masterName: string, faults: readonly (RedisFault | null)[]): RedisFault {
  const refused = faults.find((fault) => fault?.kind === 'configuration');
  if (refused) return refused;
  if (faults.includes(null)) {
    return new RedisFault('configuration', `the sentinels know no master by the name ${masterName}`);
  }
  return new RedisFault('connection', `no sentinel answers: ${faults[0]?.message ?? ''}`);
}
