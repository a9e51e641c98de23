/** What a plain HTTP request may do, once the guard has found out who sent it (guard.ts). */
import type { FastifyRequest } from 'fastify';
import { isChannelName } from '../../channels.ts';
import { RivercastError } from '../../errors.ts';
import { denial, EVERYTHING, type Grant, LISTENING, type Permission } from '../../grant.ts';

const grants = new WeakMap<object, Grant>();

export function setGrant(request: FastifyRequest, grant: Grant): void {
  grants.set(request.raw, grant);
}

export function grantOf(request: FastifyRequest): Grant {
  // Nothing but the guard lets requests pass: without one it would be nobody's.
  const grant = grants.get(request.raw);
  if (grant === undefined) throw new Error('a request that no guard has seen');
  return grant;
}

/** Whether it showed nothing for itself, and so gets what anybody gets. */
export function isAnonymous(request: FastifyRequest): boolean {
  const grant = grantOf(request);
  return grant === EVERYTHING || grant === LISTENING;
}

/** Throws RivercastError `forbidden`. What is no channel is refused as that, by whoever reads its name. */
export function permit(request: FastifyRequest, permission: Permission, channel: string): void {
  if (!isChannelName(channel)) return;
  const denied = denial(grantOf(request), permission, channel);
  if (denied !== null) throw new RivercastError('forbidden', denied);
}

/** For what concerns the server as a whole. Throws RivercastError `forbidden`. */
export function permitAdmin(request: FastifyRequest): void {
  if (grantOf(request).admin.isAll) return;
  throw new RivercastError('forbidden', 'the token does not let you administer this server');
}
