/**
 * One connection that publishes by `rivercast.v1` and waits for its acknowledgements. The refs count up; every
 * answer must be the acknowledgement of the next one, of a message that was not there before.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { FrameSpans } from './frame-spans.ts';
import { clientFrame } from './frames.ts';
import { Handshake } from './handshake.ts';
import { MaskedFrame } from './masked-frame.ts';

const ACK = Buffer.from('{"type":"ack","ref":');
const END = Buffer.from('"duplicate":false}');
const REF_DIGITS = 10;
/** So that all refs have as many digits. */
const FIRST_REF = 1e9;
const OPCODE_PING = 0x9;
const OPCODE_PONG = 0xa;

export interface LineOptions {
  readonly port: number;
  readonly path: string;
  readonly bytes: number;
  /** Each message has a key of its own that begins so; null: none has. */
  readonly keys: string | null;
  /** So many more were acknowledged, the last of them with this number, counted from 0. */
  readonly onAcknowledged: (count: number, last: number) => void;
  readonly onProblem: (problem: string) => void;
}

export class AcknowledgedLine {
  readonly #options: LineOptions;
  readonly #frame: MaskedFrame;
  readonly #socket: Socket;
  /** An answer that the end of a chunk has cut. */
  #answer = '';
  #greeted = false;
  #sent = 0;
  #acknowledged = 0;

  private constructor(options: LineOptions, socket: Socket) {
    const { bytes, keys } = options;
    const number = '#'.repeat(REF_DIGITS);
    const key = keys === null ? '' : `,"key":"${keys}${number}"`;
    this.#options = options;
    this.#frame = new MaskedFrame(
      `{"type":"publish","ref":${number}${key},"data":"${number}${'x'.repeat(bytes - REF_DIGITS)}"}`,
    );
    this.#socket = socket;
  }

  static async open(options: LineOptions): Promise<AcknowledgedLine> {
    const { port, path } = options;
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    const handshake = new Handshake({ port, path, subprotocol: 'rivercast.v1' });
    socket.write(handshake.request);
    const [head] = (await once(socket, 'data')) as [Buffer];
    const step = handshake.feed(head, head.length);
    if (step.state !== 'open') throw new Error(`publisher: ${JSON.stringify(step)}`);
    const line = new AcknowledgedLine(options, socket);
    line.#listen(head.subarray(step.rest));
    return line;
  }

  /** Publishes so many more, in one write. */
  send(count: number): void {
    this.#socket.write(this.#frame.run(FIRST_REF + this.#sent, count));
    this.#sent += count;
  }

  end(): void {
    this.#socket.destroy();
  }

  #listen(rest: Buffer): void {
    const spans = new FrameSpans({
      walk: (bytes, at, end) => this.#walk(bytes as Buffer, at, end),
      control: (opcode, payload) => {
        if (opcode === OPCODE_PING) this.#socket.write(clientFrame(OPCODE_PONG, payload));
        else if (opcode !== OPCODE_PONG) this.#options.onProblem(`closed: ${payload.subarray(2).toString()}`);
      },
    });
    const consume = (chunk: Buffer): void => {
      const before = this.#acknowledged;
      spans.consume(chunk, chunk.length);
      const count = this.#acknowledged - before;
      if (count > 0) this.#options.onAcknowledged(count, this.#acknowledged - 1);
    };
    this.#socket.on('data', consume);
    this.#socket.on('error', (error) => this.#options.onProblem(error.message));
    this.#socket.on('close', () => this.#options.onProblem('the connection is gone'));
    consume(rest);
  }

  /** Answers come whole in nearly every chunk: those are looked at where they lie. */
  #walk(bytes: Buffer, at: number, end: number): void {
    if (this.#answer === '' && bytes[end - 1] === END.at(-1)) {
      this.#heard(bytes, at, end);
      return;
    }
    this.#answer += bytes.toString('latin1', at, end);
    if (!this.#answer.endsWith('}')) return;
    const whole = Buffer.from(this.#answer, 'latin1');
    this.#answer = '';
    this.#heard(whole, 0, whole.length);
  }

  #heard(bytes: Buffer, at: number, end: number): void {
    if (!this.#greeted) {
      this.#greeted = true;
      return;
    }
    const refAt = at + ACK.length;
    const isAck =
      bytes.compare(ACK, 0, ACK.length, at, refAt) === 0 &&
      bytes.compare(END, 0, END.length, end - END.length, end) === 0;
    let ref = 0;
    for (let i = refAt; i < refAt + REF_DIGITS; i++) ref = ref * 10 + (bytes[i] as number) - 0x30;
    if (!isAck || ref !== FIRST_REF + this.#acknowledged) {
      this.#options.onProblem(`not the next acknowledgement: ${bytes.toString('latin1', at, end)}`);
      return;
    }
    this.#acknowledged += 1;
  }
}
