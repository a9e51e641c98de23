/**
 * Where a request comes from: the other end of its connection, unless that is a proxy of ours (TRUST_PROXY). A proxy
 * adds whom it got the request from to `X-Forwarded-For`, at the end; what stands before the last of those that are
 * proxies of ours anybody can have written.
 */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv6 } from 'node:net';
import type { AddressRange } from '../../config.ts';

const MAPPED = '::ffff:';
const PORT = /^(?:\[([^\]]+)\]|([0-9.]+))(?::[0-9]+)?$/;

export class ClientAddresses {
  readonly #proxies = new BlockList();
  readonly #isTrusting: boolean;

  /** `proxies`: those that are ours. */
  constructor(proxies: readonly AddressRange[]) {
    this.#isTrusting = proxies.length > 0;
    for (const { address, prefix } of proxies) {
      this.#proxies.addSubnet(address, prefix, isIPv6(address) ? 'ipv6' : 'ipv4');
    }
  }

  /** An IP address; empty when the connection is gone already. */
  of({ socket, headers }: IncomingMessage): string {
    let address = plain(socket.remoteAddress ?? '');
    if (!this.#isTrusting || !this.#isProxy(address)) return address;
    const header = headers['x-forwarded-for'];
    const hops = (typeof header === 'string' ? header : '').split(',').map((hop) => hop.trim());
    for (const hop of hops.toReversed()) {
      const named = withoutPort(hop);
      // What is no address did not come from a proxy of ours: the one that passed it on is as far as can be known.
      if (named === null) return address;
      address = named;
      if (!this.#isProxy(address)) return address;
    }
    return address;
  }

  #isProxy(address: string): boolean {
    return isIP(address) !== 0 && this.#proxies.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}

/** An IPv4 address as itself, whatever socket it came by. */
function plain(address: string): string {
  return address.toLowerCase().startsWith(MAPPED) && isIP(address.slice(MAPPED.length)) === 4
    ? address.slice(MAPPED.length)
    : address;
}

function withoutPort(hop: string): string | null {
  const match = PORT.exec(hop);
  const address = plain(match?.[1] ?? match?.[2] ?? hop);
  return isIP(address) === 0 ? null : address;
}
