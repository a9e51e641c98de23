/** Below which path of somebody else's server a request came: that path is taken off before it is answered here. */
import type { IncomingMessage } from 'node:http';

const prefixes = new WeakMap<IncomingMessage, string>();

export function setPrefix(request: IncomingMessage, prefix: string): void {
  prefixes.set(request, prefix);
}

/** `/live`, or nothing. */
export function prefixOf(request: IncomingMessage): string {
  return prefixes.get(request) ?? '';
}
