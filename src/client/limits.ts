/** The numbers of the client. In a file without imports, so that a bundler writes them where they are used. */

/** Of a lost connection: the first wait is below this, each further one below twice as much, up to the second. */
export const FIRST_WAIT_MS = 500;
export const MAX_WAIT_MS = 30_000;
/** A server that stops sends its clients away in its own time: they may come back at once, to another. */
export const RESTART_WAIT_MS = 1000;
/** Until the hello. */
export const CONNECT_MS = 15_000;
/** So many tries that never came to a hello, and WebSockets are taken to be blocked. */
export const BLOCKED_TRIES = 2;
/** Between two tries of an EventSource that gave up: this at most, and half of it at least. */
export const AGAIN_MS = 5000;
/** Channels that a connection may carry, where a server does not say how many. */
export const MAX_CHANNELS = 100;

/** The close codes that mean something else than to come back: a connection that ended without a word, … */
export const LOST = 1006;
/** … a message that is too large, … */
export const TOO_LARGE = 1009;
/** … a server that stops, … */
export const RESTARTING = 1012;
/** … and a token that is none, or over. */
export const UNAUTHENTICATED = 4401;

/** In seconds: for how long a server remembers keys that does not say so, … */
export const KEYS_S = 600;
/** … and how long before that what was sent is not sent again: on its way it might come too late, and be stored twice. */
export const KEYS_MARGIN_S = 60;
/** A line of a publisher on which nothing moves for so long is dead. */
export const PATIENCE_MS = 15_000;
/** The slowest line there is, in bytes a millisecond: what the machine holds of a message on its way is not seen to leave. */
export const SLOWEST = 8;
/** Messages that may wait to be stored, and what they may take. */
export const MAX_QUEUED = 1000;
export const MAX_QUEUED_BYTES = 16_777_216;
/** Messages that wait for their reader. */
export const BUFFER = 1000;
/** Writing a cursor for each of a thousand messages a second would cost more than they do. */
export const SAVE_MS = 250;
/** Where a subscription starts that does not say where. */
export const LATEST = 'latest';
