/** How the clients of the tests reach an address, whether it begins with http or https: they trust those of their test file. */
import { type ClientRequest, request as plainRequest, type RequestOptions } from 'node:http';
import { request as secureRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as secureConnect } from 'node:tls';

const authorities: string[] = [];

/** `ca`: the certificate of an authority in PEM form. */
export function trust(ca: string): void {
  authorities.push(ca);
}

export function trusted(): { readonly ca?: string[] } {
  return authorities.length === 0 ? {} : { ca: authorities };
}

export function requestTo(url: string, options: RequestOptions): ClientRequest {
  if (!url.startsWith('https:')) return plainRequest(url, options);
  return secureRequest(url, { ...options, ...trusted() });
}

/** Opens a connection; `opened` is the event that says so. */
export function socketTo(address: string): { readonly socket: Socket; readonly opened: string } {
  const { hostname, port, protocol } = new URL(address);
  const options = { host: hostname, port: Number(port), noDelay: true };
  if (protocol !== 'https:') return { socket: connect(options), opened: 'connect' };
  return { socket: secureConnect({ ...options, ...trusted() }), opened: 'secureConnect' };
}
