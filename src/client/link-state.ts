/**
 * The life of one connection to the server, as a pure and total table: whatever happens in whatever state, it is said
 * here what follows. link.ts does what the states mean.
 *
 *   idle ──need──▶ connecting ──opened──▶ open
 *                    ▲   │ lost             │ lost
 *                    │   ▼                  ▼
 *                    └─due─ waiting ◀───────┘        offline: the machine has no network, and a try is pointless
 *   any ──spare──▶ idle        any ──refused, closed──▶ ended, for good
 */
export type LinkState = 'idle' | 'connecting' | 'open' | 'waiting' | 'offline' | 'ended';

export type LinkEvent =
  /** Somebody wants something of it. */
  | 'need'
  /** Nobody does any more. */
  | 'spare'
  /** The server said hello. */
  | 'opened'
  /** The connection is gone, or could not be made, or has been silent for too long. */
  | 'lost'
  /** It is time for another try. */
  | 'due'
  /** The machine says that it has no network, or has one again. */
  | 'offline'
  | 'online'
  /** The server will not have us, however often we try. */
  | 'refused'
  /** We were told to end. */
  | 'closed';

export const NEXT: Readonly<Record<LinkState, Readonly<Record<LinkEvent, LinkState>>>> = {
  idle: {
    need: 'connecting',
    spare: 'idle',
    opened: 'idle',
    lost: 'idle',
    due: 'idle',
    offline: 'idle',
    online: 'idle',
    refused: 'ended',
    closed: 'ended',
  },
  connecting: {
    need: 'connecting',
    spare: 'idle',
    opened: 'open',
    lost: 'waiting',
    due: 'connecting',
    offline: 'offline',
    online: 'connecting',
    refused: 'ended',
    closed: 'ended',
  },
  open: {
    need: 'open',
    spare: 'idle',
    opened: 'open',
    lost: 'waiting',
    due: 'open',
    // A machine may say so while the connection lives on (another network took over): its own end tells.
    offline: 'open',
    online: 'open',
    refused: 'ended',
    closed: 'ended',
  },
  waiting: {
    need: 'waiting',
    spare: 'idle',
    opened: 'waiting',
    lost: 'waiting',
    due: 'connecting',
    offline: 'offline',
    online: 'connecting',
    refused: 'ended',
    closed: 'ended',
  },
  offline: {
    need: 'offline',
    spare: 'idle',
    opened: 'offline',
    lost: 'offline',
    due: 'offline',
    offline: 'offline',
    online: 'connecting',
    refused: 'ended',
    closed: 'ended',
  },
  ended: {
    need: 'ended',
    spare: 'ended',
    opened: 'ended',
    lost: 'ended',
    due: 'ended',
    offline: 'ended',
    online: 'ended',
    refused: 'ended',
    closed: 'ended',
  },
};
