/**
 * The life of one connection to the server, as a pure and total table: whatever happens in whatever state, it is said
 * here what follows. link.ts does what the states mean.
 *
 *   idle ──need──▶ connecting ──opened──▶ open
 *                    ▲   │ lost             │ lost
 *                    │   ▼                  ▼
 *                    └─due─ waiting ◀───────┘        offline: the machine says that it has no network, and may be
 *                                                    wrong: tried now and then
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

type Changes = Readonly<Partial<Record<LinkEvent, LinkState>>>;

const ANY: Changes = { spare: 'idle', refused: 'ended', closed: 'ended' };

/** What changes a state, and into what; whatever else happens, it stays. */
const CHANGES: Readonly<Record<LinkState, Changes>> = {
  idle: { ...ANY, need: 'connecting' },
  connecting: { ...ANY, opened: 'open', lost: 'waiting', offline: 'offline' },
  // A machine may say that it has no network while the connection lives on (another took over): its own end tells.
  open: { ...ANY, lost: 'waiting' },
  waiting: { ...ANY, due: 'connecting', offline: 'offline', online: 'connecting' },
  offline: { ...ANY, due: 'connecting', online: 'connecting' },
  ended: {},
};

export function nextLinkState(state: LinkState, event: LinkEvent): LinkState {
  return CHANGES[state][event] ?? state;
}
