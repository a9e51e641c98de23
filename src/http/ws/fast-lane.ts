/**
 * What comes in on a WebSocket, on its way to `ws`. A whole message is taken out of the chunk where it lies: one
 * view of the bytes, and no state. One that comes in fragments, or cut by the network, is put together here, in one
 * growing piece of memory that is counted (incomplete.ts): a fragment, or a packet, of a single byte takes a single
 * byte. So `ws` holds nothing that is not whole; it is given pings and closes, and whatever breaks the protocol,
 * which it answers for.
 *
 *   chunk ─▶ a whole message ──────────────▶ receive
 *         ─▶ a piece ─▶ gathered ──whole───▶ receive (compressed: as one frame to `ws`, which inflates it)
 *         ─▶ ping, close, what is wrong ───▶ pass
 *         ─▶ too many, too much ───────────▶ refuse
 *
 * What follows a close, a frame that breaks the protocol or a refusal is discarded.
 */
import { isUtf8 } from 'node:buffer';
import type { Clock } from '../../clock.ts';
import { GrowingBuffer } from '../limits/growing-buffer.ts';
import type { Incomplete } from '../limits/incomplete.ts';
import {
  clientHeader,
  FINAL,
  type Head,
  headOf,
  MASKED,
  MAX_HEAD_BYTES,
  Mask,
  unmask,
  type Words,
  wordsOf,
} from './frame-bytes.ts';
import { FrameRate } from './frame-rate.ts';

const NOTHING: Buffer = Buffer.alloc(0);
const NEVER = (): boolean => false;

const RESERVED_BITS = 0x70;
const RSV1 = 0x40;
const FINAL_TEXT = 0x81;
const FINAL_BINARY = 0x82;
const OPCODE_CONTINUATION = 0;
const OPCODE_BINARY = 2;
const OPCODE_CLOSE = 8;
const OPCODE_PING = 9;
const OPCODE_PONG = 10;
const CONTROL_BIT = 8;
const MAX_CONTROL_BYTES = 125;
/** Of a frame that is cut the first time, as much is kept as it came: the end of it is mostly in the next chunk. */
const MAX_KEPT_BYTES: number = 16 * 1024;
/** So many are read between two looks at the time: of the smallest, some hundredth of a millisecond. */
const FRAMES_A_LOOK = 64;
/** What the objects take around something kept, beside its bytes. */
const KEPT_COST = 256;
const GATHERED_COST = 512;

/** Frames that are wrong only after what `ws` was not given: of a reserved opcode, too long, and no UTF-8. */
const OUT_OF_ORDER: Buffer = clientHeader(0x83, 0);
const TOO_LONG: Buffer = clientHeader(FINAL_BINARY, Number.MAX_SAFE_INTEGER);
const NO_TEXT: Buffer = Buffer.concat([clientHeader(FINAL_TEXT, 1), Buffer.from([0xff])]);

export interface LaneLimits {
  readonly maxMessageBytes: number;
  /** Of one message. */
  readonly maxFragments: number;
  /** Pings and pongs a second. */
  readonly maxControlFrames: number;
  /** Frames of messages a second, of who has little to say; null: as many as there are. */
  readonly maxFrames: number | null;
}

/** What is refused here, by the name of its limit. */
export type LaneRefusal = 'fragments' | 'control_frames' | 'subscriber_frames' | 'incomplete_bytes';

export interface LaneOptions {
  readonly limits: LaneLimits;
  readonly clock: Clock;
  readonly incomplete: Incomplete;
  /** Whether messages may be compressed: all of them then go to `ws`, in their order. */
  readonly isDeflated: boolean;
  /** A message. The bytes are the receiver's to keep; text is UTF-8. */
  readonly receive: (data: Buffer, isBinary: boolean) => void;
  /** Bytes for `ws`: whole frames, or the head of one that is wrong. */
  readonly pass: (bytes: Buffer) => void;
  /** The connection is to be closed. */
  readonly refuse: (limit: LaneRefusal) => void;
}

/** A message of which not all has come. */
class Gathered {
  readonly bytes: GrowingBuffer = new GrowingBuffer();
  readonly mask: Mask = new Mask();
  /** The first byte of its first frame. */
  readonly first: number;
  fragments = 0;
  /** Announced by its frames so far, and of the last one still to come. */
  announced = 0;
  owed = 0;
  isLast = false;

  constructor(first: number) {
    this.first = first;
  }

  get cost(): number {
    return GATHERED_COST + this.bytes.capacity;
  }
}

export class FastLane {
  readonly #options: LaneOptions;
  readonly #control: FrameRate;
  readonly #frames: FrameRate | null;
  /** The beginning of a frame whose rest has not arrived. */
  #rest: Buffer = NOTHING;
  #gathered: Gathered | null = null;
  #hasEnded = false;
  /** Since when it is fed nothing that comes; null: it is. */
  #pausedMs: number | null = null;

  constructor(options: LaneOptions) {
    const { clock, limits } = options;
    this.#options = options;
    this.#control = new FrameRate(clock, limits.maxControlFrames);
    this.#frames = limits.maxFrames === null ? null : new FrameRate(clock, limits.maxFrames);
  }

  /**
   * Bytes came. They are changed in place. Returns what was not looked at, because time `isOver`: it is to be fed
   * next. Null: nothing.
   */
  feed(chunk: Buffer, isOver: () => boolean = NEVER): Buffer | null {
    if (this.#hasEnded) return null;
    let at = this.#rest.length > 0 ? this.#frameBehindRest(chunk) : 0;
    const words = wordsOf(chunk);
    if (this.#gathered !== null) at = this.#gather(this.#gathered, chunk, at, words);
    for (let frames = 1; at < chunk.length && !this.#hasEnded; frames++) {
      const next = this.#frameAt(chunk, at, words, false);
      if (next === at) return this.#keep(chunk.subarray(at));
      at = next;
      if (frames % FRAMES_A_LOOK === 0 && isOver()) break;
    }
    return at < chunk.length && !this.#hasEnded ? chunk.subarray(at) : null;
  }

  /** It is not fed for a while, whatever comes. */
  pause(): void {
    this.#pausedMs ??= this.#options.clock.monotonic();
  }

  /** It is fed again: first with what has come meanwhile, and was not sent all at once for that. */
  resume(): void {
    if (this.#pausedMs === null) return;
    const ms = this.#options.clock.monotonic() - this.#pausedMs;
    this.#pausedMs = null;
    this.#control.save(ms);
    this.#frames?.save(ms);
  }

  /** No more comes. */
  close(): void {
    this.#hasEnded = true;
    this.#forget();
  }

  /**
   * The frame whose beginning was kept, put together with what the chunk has of it and with no more: one is cut at
   * every chunk's end, and a copy of the next chunk each time is as much garbage again as a flood brings. Returns
   * where in the chunk the next one begins.
   */
  #frameBehindRest(chunk: Buffer): number {
    const rest = this.#rest;
    this.#forgetRest();
    const head = headOf(Buffer.concat([rest, chunk.subarray(0, MAX_HEAD_BYTES)]), 0);
    const own = Math.min(chunk.length, head === null ? MAX_HEAD_BYTES : head.end - rest.length);
    const frame = Buffer.concat([rest, chunk.subarray(0, own)]);
    if (this.#frameAt(frame, 0, wordsOf(frame), true) > 0) return own;
    this.#keep(frame);
    return chunk.length;
  }

  #frameAt(bytes: Buffer, at: number, words: Words, isKeptAlready: boolean): number {
    const head = headOf(bytes, at);
    return head === null ? at : this.#frame(bytes, head, words, isKeptAlready);
  }

  /** Takes a frame; returns where the next begins, or where this one does when it is kept until more has come. */
  #frame(bytes: Buffer, head: Head, words: Words, isKeptAlready: boolean): number {
    if (!this.#isPlain(bytes, head)) {
      const wrong = this.#wrongWith(bytes, head);
      if (wrong !== null) return this.#end(wrong, bytes);
      if (((bytes[head.at] as number) & CONTROL_BIT) !== 0) return this.#controlFrame(bytes, head);
    }
    const isAlone = this.#gathered === null && ((bytes[head.at] as number) & FINAL) !== 0;
    const isWhole = head.end <= bytes.length;
    if (isAlone && !isWhole && !isKeptAlready && isSmall(head)) return head.at;
    if (!this.#isPaced()) return this.#refuse('subscriber_frames', bytes);
    return isAlone && isWhole ? this.#message(bytes, head, words) : this.#piece(bytes, head, words);
  }

  #isPaced(): boolean {
    return this.#frames === null || this.#frames.allows();
  }

  /** A message in one frame, as nearly all are: nothing can be wrong with its head. */
  #isPlain(bytes: Buffer, { at, start, end }: Head): boolean {
    const first = bytes[at];
    return (
      (first === FINAL_TEXT || first === FINAL_BINARY) &&
      ((bytes[at + 1] as number) & MASKED) !== 0 &&
      end - start <= this.#options.limits.maxMessageBytes &&
      this.#gathered === null
    );
  }

  /** What to give `ws` so that it finds what is wrong with the head of a frame; null: nothing is. */
  #wrongWith(bytes: Buffer, head: Head): Buffer | null {
    const first = bytes[head.at] as number;
    const gathered = this.#gathered;
    if (this.#isWrong(first, bytes[head.at + 1] as number)) return bytes.subarray(head.at, head.start);
    if ((first & CONTROL_BIT) !== 0) return null;
    // A frame behind a fragment: `ws` was not given that, and so would find nothing.
    if (gathered !== null && isStart(first)) return OUT_OF_ORDER;
    if ((gathered?.announced ?? 0) + head.end - head.start <= this.#options.limits.maxMessageBytes)
      return null;
    return gathered === null ? bytes.subarray(head.at, head.start) : TOO_LONG;
  }

  /** Whether `ws` finds the first two bytes of a frame wrong. */
  #isWrong(first: number, second: number): boolean {
    const reserved = first & RESERVED_BITS & ~(this.#options.isDeflated && isStart(first) ? RSV1 : 0);
    if ((second & MASKED) === 0 || reserved !== 0) return true;
    if ((first & CONTROL_BIT) !== 0) return !isGoodControl(first, second);
    if ((first & 0x0f) > OPCODE_BINARY) return true;
    return this.#gathered === null && !isStart(first);
  }

  #controlFrame(bytes: Buffer, { at, end }: Head): number {
    if (end > bytes.length) return at;
    const opcode = (bytes[at] as number) & 0x0f;
    const frame = bytes.subarray(at, end);
    if (opcode === OPCODE_CLOSE) return this.#end(frame, bytes);
    if (!this.#control.allows()) return this.#refuse('control_frames', bytes);
    // That a pong came is known by its bytes.
    if (opcode === OPCODE_PING) this.#options.pass(frame);
    return end;
  }

  #message(bytes: Buffer, { at, start, end }: Head, words: Words): number {
    const { isDeflated, pass, receive } = this.#options;
    if (isDeflated) {
      pass(bytes.subarray(at, end));
      return end;
    }
    const isBinary = bytes[at] === FINAL_BINARY;
    const isAscii = unmask(bytes, start, end, words);
    const data = bytes.subarray(start, end);
    if (!isBinary && !isAscii && !isUtf8(data)) return this.#end(NO_TEXT, bytes);
    receive(data, isBinary);
    return end;
  }

  /** A frame that is not all of its message, or not all here. */
  #piece(bytes: Buffer, { at, start, end }: Head, words: Words): number {
    const { incomplete, limits } = this.#options;
    const first = bytes[at] as number;
    const gathered = this.#gathered ?? new Gathered(first);
    if (this.#gathered === null) {
      if (!incomplete.hold(gathered.cost)) return this.#refuse('incomplete_bytes', bytes);
      this.#gathered = gathered;
    }
    gathered.fragments += 1;
    if (gathered.fragments > limits.maxFragments) return this.#refuse('fragments', bytes);
    gathered.announced += end - start;
    gathered.owed = end - start;
    gathered.isLast = (first & FINAL) !== 0;
    gathered.mask.set(bytes, start);
    return this.#gather(gathered, bytes, start, words);
  }

  #gather(gathered: Gathered, bytes: Buffer, start: number, words: Words): number {
    const end = Math.min(bytes.length, start + gathered.owed);
    if (end > start) {
      if (!this.#options.incomplete.hold(gathered.bytes.growth(end - start))) {
        return this.#refuse('incomplete_bytes', bytes);
      }
      gathered.mask.undo(bytes, start, end, words);
      gathered.bytes.append(bytes, start, end);
      gathered.owed -= end - start;
    }
    if (gathered.owed === 0 && gathered.isLast) this.#whole(gathered, bytes);
    return end;
  }

  #whole(gathered: Gathered, bytes: Buffer): void {
    const { incomplete, isDeflated, receive, pass } = this.#options;
    this.#gathered = null;
    incomplete.release(gathered.cost);
    const data = gathered.bytes.take();
    if (isDeflated) {
      pass(clientHeader(gathered.first | FINAL, data.length));
      if (data.length > 0) pass(data);
      return;
    }
    const isBinary = (gathered.first & 0x0f) === OPCODE_BINARY;
    if (isBinary || isUtf8(data)) receive(data, isBinary);
    else this.#end(NO_TEXT, bytes);
  }

  /** A copy: the chunk it lies in is much larger, and would be kept as long. */
  #keep(bytes: Buffer): null {
    if (!this.#options.incomplete.holdSmall(KEPT_COST + bytes.length)) {
      this.#refuse('incomplete_bytes', bytes);
      return null;
    }
    this.#rest = Buffer.allocUnsafeSlow(bytes.length);
    bytes.copy(this.#rest);
    return null;
  }

  /** The last that `ws` is given. Returns where all of `bytes` ends. */
  #end(last: Buffer, bytes: Buffer): number {
    this.close();
    this.#options.pass(last);
    return bytes.length;
  }

  #refuse(limit: LaneRefusal, bytes: Buffer): number {
    this.close();
    this.#options.refuse(limit);
    return bytes.length;
  }

  #forget(): void {
    this.#forgetRest();
    if (this.#gathered !== null) this.#options.incomplete.release(this.#gathered.cost);
    this.#gathered = null;
  }

  #forgetRest(): void {
    if (this.#rest.length > 0) this.#options.incomplete.release(KEPT_COST + this.#rest.length);
    this.#rest = NOTHING;
  }
}

function isGoodControl(first: number, second: number): boolean {
  return (first & 0x0f) <= OPCODE_PONG && (first & FINAL) !== 0 && (second & ~MASKED) <= MAX_CONTROL_BYTES;
}

/** Text or binary: the first frame of a message. */
function isStart(first: number): boolean {
  const opcode = first & 0x0f;
  return opcode > OPCODE_CONTINUATION && opcode <= OPCODE_BINARY;
}

function isSmall({ at, end }: Head): boolean {
  return end - at <= MAX_KEPT_BYTES;
}
