/**
 * A child process that does to a server what it must bear: each attack goes on for its time, comes back whenever it is
 * thrown out, and says what it got done. It gives way to everybody else on its core, so that the clients beside it
 * wait for the server and not for the attacker.
 */
import { connect, type Socket } from 'node:net';
import { getPriority, setPriority } from 'node:os';
import { answerCalls } from '../support/calls.ts';
import type { AttackAnswer, AttackAsk, AttackerCalls } from './calls.ts';
import { Handshake } from './handshake.ts';

const LOWEST_PRIORITY = 19;
/** Behind those beside it. */
const BEHIND = 10;
const TICK_MS = 10;
const HALF_OPEN = 5000;
/** So many begin in a tick: all are there after five seconds. */
const HALF_OPEN_A_TICK = 10;
const BYTE_EVERY_MS = 5000;
const FLOODERS = 20;
/** Who is thrown out comes back after this. */
const BACK_MS = 50;
const PINGS = 100_000;
const FRAGMENTS = 128;
const READERS = 100;
const HEAVY_BYTES = 16 * 1024;
const CHURN_PER_SECOND = 500;
const ATTACKED = 'attacked';

/** One attack under way. */
class Attack {
  readonly port: number;
  readonly counts: { opened: number; ended: number; bytes: number; frames: number } = {
    opened: 0,
    ended: 0,
    bytes: 0,
    frames: 0,
  };
  readonly closes: Record<string, number> = {};
  isOver = false;
  readonly #open = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(port: number) {
    this.port = port;
  }

  /** Connects; `ended` is called once, unless the attack is over. */
  connect(ended: () => void): Socket {
    const socket = connect({ host: '127.0.0.1', port: this.port, noDelay: true });
    this.#open.add(socket);
    socket.once('connect', () => (this.counts.opened += 1));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#open.delete(socket);
      if (this.isOver) return;
      this.counts.ended += 1;
      ended();
    });
    return socket;
  }

  /** Connects and upgrades; `opened` is called with the socket, what comes behind the answer is dropped. */
  upgrade(path: string, opened: (socket: Socket) => void, ended: () => void, subprotocol?: string): void {
    const socket = this.connect(ended);
    const handshake = new Handshake({ port: this.port, path, subprotocol });
    socket.once('connect', () => socket.write(handshake.request));
    let isOpen = false;
    socket.on('data', (chunk) => {
      if (isOpen) {
        this.#note(chunk);
        return;
      }
      const step = handshake.feed(chunk, chunk.length);
      if (step.state === 'refused') socket.destroy();
      if (step.state !== 'open') return;
      isOpen = true;
      opened(socket);
    });
  }

  send(socket: Socket, bytes: Buffer, frames: number): void {
    socket.write(bytes);
    this.counts.bytes += bytes.length;
    this.counts.frames += frames;
  }

  every(ms: number, work: () => void): void {
    this.#timers.add(setInterval(work, ms));
  }

  later(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    this.#timers.add(timer);
  }

  end(): void {
    this.isOver = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#open) socket.destroy();
  }

  /** The code of a close, if that is what came. */
  #note(chunk: Buffer): void {
    if (chunk[0] !== 0x88 || chunk.length < 4) return;
    const code = `${chunk.readUInt16BE(2)}`;
    this.closes[code] = (this.closes[code] ?? 0) + 1;
  }
}

/** A frame of a client, with a mask. */
function frame(first: number, payload: string): Buffer {
  const mask = Buffer.from([1, 2, 3, 4]);
  const masked = Buffer.from(payload).map((byte, i) => byte ^ (mask[i & 3] as number));
  return Buffer.concat([Buffer.from([first, 0x80 | masked.length]), mask, masked]);
}

function repeat(bytes: Buffer, count: number): Buffer {
  return Buffer.alloc(bytes.length * count, bytes);
}

/** Handshakes of which a byte comes now and then. */
function halfOpen(attack: Attack): void {
  const sockets: Socket[] = [];
  const head = 'GET /ws/broadcast HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ';
  const open = (place: number): void => {
    const socket = attack.connect(() => open(place));
    sockets[place] = socket;
    let at = 0;
    socket.resume();
    socket.on('byte', () => attack.send(socket, Buffer.from(head[at++] ?? 'x'), 0));
  };
  let next = 0;
  attack.every(TICK_MS, () => {
    for (let i = 0; i < HALF_OPEN_A_TICK && sockets.length < HALF_OPEN; i++) open(sockets.length);
    for (let i = 0; i < (HALF_OPEN * TICK_MS) / BYTE_EVERY_MS; i++) {
      sockets[next++ % sockets.length]?.emit('byte');
    }
  });
}

/** Writes the same bytes to a connection as fast as they are taken, whatever it is told; comes back when it is cut. */
function flood(attack: Attack, path: string, bytes: Buffer, frames: number): void {
  const again = (): void => attack.later(BACK_MS, () => flood(attack, path, bytes, frames));
  const opened = (socket: Socket): void => {
    const write = (): void => {
      while (!socket.destroyed && socket.writable && socket.writableLength === 0) {
        attack.send(socket, bytes, frames);
      }
    };
    socket.on('drain', write);
    write();
  };
  attack.upgrade(path, opened, again);
}

function pings(attack: Attack): void {
  for (let i = 0; i < FLOODERS; i++) {
    const path = i % 2 === 0 ? '/ws/broadcast' : `/ws/manager?channel=${ATTACKED}`;
    flood(attack, path, repeat(frame(0x89, 'x'), PINGS), PINGS);
  }
}

/** Messages of as many fragments as are allowed, for ever; and of one more. */
function fragments(attack: Attack): void {
  const message = (count: number): Buffer =>
    Buffer.concat([frame(0x01, 'x'), repeat(frame(0x00, 'x'), count - 2), frame(0x80, 'x')]);
  const legal = repeat(message(FRAGMENTS), 100);
  const endless = message(FRAGMENTS + 1);
  for (let i = 0; i < FLOODERS; i++) {
    const path = i % 2 === 0 ? `/ws/manager?channel=${ATTACKED}` : '/ws/broadcast';
    if (i % 4 < 2) flood(attack, path, legal, FRAGMENTS * 100);
    else flood(attack, path, endless, FRAGMENTS + 1);
  }
}

/** Subscribers that never read, half of them of large messages. */
function zeroWindow(attack: Attack): void {
  const read = (path: string): void => {
    const again = (): void => attack.later(BACK_MS, () => read(path));
    attack.upgrade(path, (socket) => socket.pause(), again);
  };
  for (let i = 0; i < READERS; i++) {
    read('/ws/broadcast');
    read(`/ws/broadcast?channel=${ATTACKED}`);
  }
  const header = Buffer.from([0x82, 0xfe, HEAVY_BYTES >> 8, HEAVY_BYTES & 0xff, 0, 0, 0, 0]);
  const heavy = Buffer.concat([header, Buffer.alloc(HEAVY_BYTES)]);
  const publish = (socket: Socket): void =>
    attack.every(TICK_MS, () => {
      if (socket.writableLength === 0) attack.send(socket, heavy, 1);
    });
  attack.upgrade(`/ws/manager?channel=${ATTACKED}`, publish, () => undefined);
}

/** Connections that come and go at once, in every way there is. */
function churn(attack: Attack): void {
  let count = 0;
  attack.every(TICK_MS, () => {
    for (let i = 0; i < (CHURN_PER_SECOND * TICK_MS) / 1000; i++) {
      const way = count++ % 4;
      const leave = (socket: Socket): void => {
        if (way === 0) socket.resetAndDestroy();
        else if (way === 1) socket.end(frame(0x88, ''));
        else if (way === 2) socket.end();
        else {
          socket.write(frame(0x81, '{"type":"subscribe","channel":"a"}'));
          attack.later(TICK_MS, () => socket.resetAndDestroy());
        }
      };
      attack.upgrade('/ws/broadcast', leave, () => undefined, way === 3 ? 'rivercast.v1' : undefined);
    }
  });
}

const ATTACKS: Readonly<Record<AttackAsk['kind'], (attack: Attack) => void>> = {
  'half-open': halfOpen,
  fragments,
  'zero-window': zeroWindow,
  pings,
  churn,
};

let running: Attack | null = null;

setPriority(Math.min(LOWEST_PRIORITY, getPriority() + BEHIND));
answerCalls<AttackerCalls>({
  begin: ({ kind, port }) => {
    running = new Attack(port);
    ATTACKS[kind](running);
    return null;
  },
  end: (): AttackAnswer => {
    const attack = running as Attack;
    attack.end();
    return { ...attack.counts, closes: attack.closes };
  },
});
