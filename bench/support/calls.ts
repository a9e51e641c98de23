/**
 * Calls between the runner and its child processes over Node's IPC channel: one question, one answer, matched
 * by number. A map type names each call with what it takes and what it gives, so that both sides are checked
 * against the same list.
 */
import type { ChildProcess } from 'node:child_process';

export type CallMap<Calls> = { [Name in keyof Calls]: { readonly ask: unknown; readonly answer: unknown } };

interface Question {
  readonly number: number;
  readonly name: string;
  readonly ask: unknown;
}

type Reply =
  | { readonly number: number; readonly answer: unknown }
  | { readonly number: number; readonly problem: string };

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Long enough for any single step of a question; a child that is stuck must not hold the run for ever. */
const CALL_TIMEOUT_MS = 300_000;

/** The runner's end of one child. */
export class Remote<Calls extends CallMap<Calls>> {
  readonly #child: ChildProcess;
  readonly #waiting: Map<number, Waiting> = new Map();
  #last = 0;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (message) => this.#settle(message as Reply));
    child.once('exit', (code, signal) => this.#fail(new Error(`process ended (${signal ?? code})`)));
  }

  call<Name extends keyof Calls & string>(
    name: Name,
    ask: Calls[Name]['ask'],
    timeoutMs: number = CALL_TIMEOUT_MS,
  ): Promise<Calls[Name]['answer']> {
    const number = ++this.#last;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(number);
        reject(new Error(`no answer to "${name}" within ${timeoutMs} ms`));
      }, timeoutMs);
      const settled = () => clearTimeout(timer);
      this.#waiting.set(number, {
        resolve: (answer) => (settled(), resolve(answer)),
        reject: (error) => (settled(), reject(error)),
      });
      const question: Question = { number, name, ask };
      if (!this.#child.connected) this.#fail(new Error('process is gone'));
      else this.#child.send(question);
    });
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.number);
    this.#waiting.delete(reply.number);
    if ('problem' in reply) waiting?.reject(new Error(reply.problem));
    else waiting?.resolve(reply.answer);
  }

  #fail(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}

type Answers<Calls extends CallMap<Calls>> = {
  readonly [Name in keyof Calls]: (
    ask: Calls[Name]['ask'],
  ) => Calls[Name]['answer'] | Promise<Calls[Name]['answer']>;
};

/** The child's end. The child ends with its runner: nothing is left behind when the runner is killed. */
export function answerCalls<Calls extends CallMap<Calls>>(answers: Answers<Calls>): void {
  const send = process.send?.bind(process);
  if (send === undefined) throw new Error('started without an IPC channel: run bench/run instead');
  const byName = new Map(Object.entries(answers)) as Map<string, (ask: unknown) => unknown>;
  process.on('message', (message) => {
    const { number, name, ask } = message as Question;
    const reply = async (): Promise<unknown> => byName.get(name)?.(ask);
    reply().then(
      (answer) => send({ number, answer } satisfies Reply),
      (error: unknown) => send({ number, problem: String(error) } satisfies Reply),
    );
  });
  process.once('disconnect', () => process.exit(0));
}
