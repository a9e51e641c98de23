/**
 * Who may stay, at any door. Those that need to be known one by one, because their token ends or their number is
 * limited, are guests; where neither is so there are none, and a connection costs nothing more.
 *
 *   admitted ──`stay`──▶ staying ──token renewed──▶ staying
 *                          ├─ token over, and 5 s ─▶ dismissed with 4401
 *                          └─ gone ─▶ `leave`
 *
 * An address is counted whole for IPv4, and by its first 64 bits for IPv6: one customer has all of those.
 */
import type { IncomingMessage } from 'node:http';
import { isIPv6, type Socket } from 'node:net';
import type { Peer } from '../../broadcaster/transport.ts';
import type { Clock } from '../../clock.ts';
import { type ErrorCode, RivercastError } from '../../errors.ts';
import type { Caller, Grant } from '../../grant.ts';
import type { Access } from '../auth/access.ts';
import type { ClientAddresses } from '../auth/client-address.ts';
import { GRACE_MS } from '../auth/tokens.ts';
import type { Connections } from './connections.ts';

export interface GuestLimits {
  /** 0: as many as come. */
  readonly maxPerAddress: number;
  readonly maxPerSubject: number;
}

const REVOKED = new RivercastError('unauthenticated', 'the API key is not valid any more');

/** A connection that can be told to go. */
export interface Dismissable {
  dismiss(code: ErrorCode, reason: string): void;
}

export interface GuestsOptions {
  readonly access: Access;
  readonly addresses: ClientAddresses;
  readonly connections: Connections;
  readonly clock: Clock;
  readonly limits: GuestLimits;
}

export class Guests {
  readonly #options: GuestsOptions;
  readonly #staying = new Set<Guest>();
  readonly #perAddress = new Map<string, number>();
  readonly #perSubject = new Map<string, number>();

  constructor(options: GuestsOptions) {
    this.#options = options;
    options.access.follow(() => this.#dismissRevoked());
  }

  /**
   * One more connection for this request, which may do what `grant` says. Null where it need not be known; else it is
   * counted until it leaves. Throws RivercastError `limit_reached`. To be called in the turn in which it is opened.
   */
  admit(request: IncomingMessage, grant: Grant): Guest | null {
    const { connections, addresses } = this.#options;
    connections.demandRoom();
    return this.#isNeeded ? this.#guest(addresses.of(request), grant) : null;
  }

  /** A request that takes long: it is not counted, but its time ends as that of a connection. */
  watch(grant: Grant, request: Dismissable): Guest {
    const { access } = this.#options;
    const guest = new Guest('', grant, access, () => this.#staying.delete(guest));
    guest.stay(request);
    this.#staying.add(guest);
    if (access.isRevoked(grant)) guest.dismiss(REVOKED.code, REVOKED.message);
    return guest;
  }

  /** Regular work, about once a second: those whose time is over go. */
  tick(): void {
    const overMs = this.#options.clock.now() - GRACE_MS;
    for (const guest of this.#staying) {
      const { expiresMs } = guest.grant;
      if (expiresMs !== null && expiresMs <= overMs) guest.dismiss('token_expired', 'the token has expired');
    }
  }

  #dismissRevoked(): void {
    const { access } = this.#options;
    for (const guest of this.#staying) {
      if (access.isRevoked(guest.grant)) guest.dismiss(REVOKED.code, REVOKED.message);
    }
  }

  /** Whether anybody has to be known at all. */
  get #isNeeded(): boolean {
    const { access, limits } = this.#options;
    return !access.isOpen || limits.maxPerAddress > 0 || limits.maxPerSubject > 0;
  }

  #guest(address: string, grant: Grant): Guest {
    const { limits, access } = this.#options;
    const network = networkOf(address);
    const { subject } = grant;
    // Its place in the log was looked up since it was let in, which may take a while.
    if (access.isRevoked(grant)) throw REVOKED;
    if (isFull(this.#perAddress, network, limits.maxPerAddress)) {
      throw new RivercastError(
        'limit_reached',
        `${limits.maxPerAddress} connections from this address are open already`,
      );
    }
    if (subject !== null && isFull(this.#perSubject, subject, limits.maxPerSubject)) {
      throw new RivercastError(
        'limit_reached',
        `${limits.maxPerSubject} connections of this subject are open already`,
      );
    }
    if (limits.maxPerAddress > 0) count(this.#perAddress, network, 1);
    if (limits.maxPerSubject > 0 && subject !== null) count(this.#perSubject, subject, 1);
    const guest = new Guest(address, grant, access, () => {
      this.#staying.delete(guest);
      if (limits.maxPerAddress > 0) count(this.#perAddress, network, -1);
      if (limits.maxPerSubject > 0 && subject !== null) count(this.#perSubject, subject, -1);
    });
    this.#staying.add(guest);
    return guest;
  }
}

export class Guest implements Caller {
  readonly address: string;
  #grant: Grant;
  readonly #access: Access;
  readonly #free: () => void;
  #connection: Dismissable | null = null;
  #isGone = false;

  constructor(address: string, grant: Grant, access: Access, free: () => void) {
    this.address = address;
    this.#grant = grant;
    this.#access = access;
    this.#free = free;
  }

  get grant(): Grant {
    return this.#grant;
  }

  /** Its connection is open. */
  stay(connection: Dismissable): void {
    this.#connection = connection;
  }

  /** Its connection is gone. */
  leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#connection = null;
    this.#free();
  }

  dismiss(code: ErrorCode, reason: string): void {
    this.#connection?.dismiss(code, reason);
  }

  async renew(token: string): Promise<Grant> {
    const grant = await this.#access.check(token);
    if (grant.subject !== this.#grant.subject) {
      throw new RivercastError(
        'forbidden',
        'the token is of another subject; open another connection for it',
      );
    }
    this.#grant = grant;
    return grant;
  }
}

/** Who is at the other end of a connection, for people: `guest` is null where nobody has to be known. */
export function peerOf({ guest, socket }: { readonly guest: Guest | null; readonly socket: Socket }): Peer {
  return {
    address: guest?.address ?? socket.remoteAddress ?? null,
    subject: guest?.grant.subject ?? null,
  };
}

function isFull(counts: ReadonlyMap<string, number>, key: string, max: number): boolean {
  return max > 0 && (counts.get(key) ?? 0) >= max;
}

function count(counts: Map<string, number>, key: string, by: number): void {
  const now = (counts.get(key) ?? 0) + by;
  if (now === 0) counts.delete(key);
  else counts.set(key, now);
}

/** The first 64 bits of an IPv6 address, in one way of writing them. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head, tail] = address.replace(/%.*/, '').split('::') as [string, string?];
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...new Array<string>(missing).fill('0'), ...after];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
