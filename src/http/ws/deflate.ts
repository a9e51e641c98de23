/**
 * permessage-deflate (RFC 7692) for subscribers, as this server agrees to it: neither side keeps a context from
 * message to message. What goes out is compressed by the block for everybody (broadcaster/formats/deflated.ts);
 * here are the agreement, and what little comes in.
 */
import { constants, inflateRawSync } from 'node:zlib';
import * as ws from 'ws';
import { CLOSE } from '../../protocol/close.ts';

const NAME = 'permessage-deflate';
const FLUSH_MARK: Buffer = Buffer.from([0, 0, 0xff, 0xff]);

/** What the handshake says when it was agreed. */
export const DEFLATE_AGREED: string = `${NAME}; server_no_context_takeover; client_no_context_takeover`;

type Parameters = Readonly<Record<string, readonly (string | true)[]>>;

/** `ws` has a parser of the header; its types do not say so. */
const { extension } = ws as unknown as {
  readonly extension: { parse(header: string): Record<string, readonly Parameters[] | undefined> };
};

/**
 * Whether an offer can be agreed to. One that limits our window cannot: frames are compressed once, with the
 * largest, for everybody. Such a client is sent plain frames.
 */
export function agreesToDeflate(header: string | undefined): boolean {
  if (header === undefined) return false;
  try {
    const offers = extension.parse(header)[NAME] ?? [];
    return offers.some((offer) => Object.entries(offer).every(isAgreeable));
  } catch {
    // Malformed: as if it were not there.
    return false;
  }
}

function isAgreeable([name, values]: [string, readonly (string | true)[]]): boolean {
  const [value] = values;
  if (values.length !== 1 || value === undefined) return false;
  if (name === 'server_no_context_takeover' || name === 'client_no_context_takeover') return value === true;
  // A hint that the client can limit its own window if told to; it is not told to.
  return name === 'client_max_window_bits' && (value === true || /^(8|9|1[0-5])$/.test(value));
}

/**
 * Takes the place of the extension in a `ws` socket: inflates what comes in at once and in bounds. A subscriber
 * has little to say, and a stream of zlib's own for each would take more memory than all else of it.
 */
export class Inflater {
  readonly #maxBytes: number;
  readonly #fail: (code: number) => void;

  /** `fail` closes the connection with a code. */
  constructor(maxBytes: number, fail: (code: number) => void) {
    this.#maxBytes = maxBytes;
    this.#fail = fail;
  }

  /** Called for each message, which the lane hands over whole; the answer comes later, as `ws` expects. */
  decompress(data: Buffer, _isLast: boolean, done: (error: Error | null, message?: Buffer) => void): void {
    const whole = Buffer.concat([data, FLUSH_MARK]);
    try {
      const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: this.#maxBytes };
      // One message a turn: a packet holds hundreds of small ones that inflate to the bound.
      setImmediate(done, null, inflateRawSync(whole, options));
    } catch (error) {
      const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
      this.#fail(isTooLarge ? CLOSE.tooLarge : CLOSE.invalidPayload);
      process.nextTick(done, error);
    }
  }

  /** Nothing is kept from message to message. */
  cleanup(): void {}
}

/** How a `ws` socket finds it. */
export function extensionsWith(inflater: Inflater): Record<string, Inflater> {
  return { [NAME]: inflater };
}
