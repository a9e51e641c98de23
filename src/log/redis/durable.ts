/**
 * Makes appends as durable as DURABILITY asks. WAIT and WAITAOF block the connection they are sent on, and one
 * of them confirms all that the connection wrote before. So appends go in groups: while one group is being
 * confirmed the next gathers, and goes in one write with one confirmation behind it.
 *
 *   memory      sent at once, confirmed by its reply
 *   replicated  WAIT
 *   fsync       WAITAOF; a server without it (before 7.2) has to run with `appendfsync always`, whose
 *               replies come after the flush: it is asked on every connect, and behind every group, whether it does
 */
import type { Durability } from '../../config/shape.ts';
import { RivercastError } from '../../errors.ts';
import { faultIn, type Link, RedisFault } from './connection/link.ts';
import { type Reply, ReplyReader } from './connection/reply.ts';
import type { Argument } from './connection/wire.ts';
import { explained, runScript, type ScriptCall, scriptCommand } from './script.ts';

/** What follows a group, and what its reply says: how many have all of it. */
interface Confirmation {
  readonly command: readonly string[];
  readonly count: (reply: Reply) => number;
  /** Whether it says how Redis is set up: once that does not fit, no later append on the connection is safe either. */
  readonly isSetting: boolean;
}

export interface Stored {
  readonly reply: Reply;
  /** Set when it is stored, but not confirmed in time. */
  readonly late: RivercastError | null;
}

export interface DurableDeadlines {
  /** For the questions on a new connection. */
  readonly connectMs: number;
  /** How long Redis may take for an append, not counting the confirmation. */
  readonly appendMs: number;
}

interface Item {
  readonly call: ScriptCall;
  command: readonly Argument[];
  readonly resolve: (stored: Stored) => void;
  readonly reject: (error: unknown) => void;
}

interface Group {
  items: Item[];
  isFlushing: boolean;
}

/** With these a reply comes only after what it answers for is on disk. */
const ALWAYS: ReadonlyMap<string, string> = new Map([
  ['appendonly', 'yes'],
  ['appendfsync', 'always'],
  ['no-appendfsync-on-rewrite', 'no'],
]);
const ALWAYS_TEXT: string = [...ALWAYS].map((pair) => pair.join(' ')).join(', ');
const CONFIG_GET: readonly [string, ...string[]] = ['config', 'get', ...ALWAYS.keys()];
const NO_COMMAND = /^ERR unknown command/;
const NO_FILE = /appendonly is disabled/;

export class Durable {
  readonly #durability: Durability;
  readonly #deadlines: DurableDeadlines;
  readonly #confirmations = new WeakMap<Link, Confirmation>();
  readonly #groups = new WeakMap<Link, Group>();

  constructor(durability: Durability, deadlines: DurableDeadlines) {
    this.#durability = durability;
    this.#deadlines = deadlines;
  }

  /** To be called once for every Link before `run`. Rejects with a RedisFault: `configuration` when Redis can not do it. */
  async prepare(link: Link): Promise<void> {
    const { level, replicas, timeoutMs } = this.#durability;
    if (level === 'memory') return;
    if (level === 'replicated') {
      await this.#ask(link, ['wait', '0', '1']);
      const command = ['wait', `${replicas}`, `${timeoutMs}`];
      this.#confirmations.set(link, { command, count: Number, isSetting: false });
      return;
    }
    if (await this.#hasWaitAof(link)) {
      const count = (reply: Reply): number => Number((reply as readonly Reply[])[0]);
      const command = ['waitaof', '1', '0', `${timeoutMs}`];
      this.#confirmations.set(link, { command, count, isSetting: false });
      return;
    }
    const wrong = unfitSettings(await this.#ask(link, CONFIG_GET));
    if (wrong !== '')
      throw this.#unfit(`Redis before 7.2 must run with ${ALWAYS_TEXT}; it runs with ${wrong}`);
    if (hasNoFile(String(await this.#ask(link, ['info', 'persistence'])))) {
      throw this.#unfit(
        'Redis is still writing its first append-only file; until that is whole a restart reads none',
      );
    }
    const count = (reply: Reply): number => (unfitSettings(reply) === '' ? 1 : 0);
    this.#confirmations.set(link, { command: CONFIG_GET, count, isSetting: true });
  }

  /** Rejects with a RedisFault when it is not known whether it is stored, or when Redis refused it. */
  async run(link: Link, call: ScriptCall): Promise<Stored> {
    const confirmation = this.#confirmations.get(link);
    if (confirmation === undefined)
      return { reply: await runScript(link, call, this.#deadlines.appendMs), late: null };
    let group = this.#groups.get(link);
    if (group === undefined) {
      group = { items: [], isFlushing: false };
      this.#groups.set(link, group);
    }
    return this.#join(link, group, confirmation, call);
  }

  #join(link: Link, group: Group, confirmation: Confirmation, call: ScriptCall): Promise<Stored> {
    return new Promise((resolve, reject) => {
      group.items.push({ call, command: scriptCommand(call), resolve, reject });
      if (group.isFlushing) return;
      group.isFlushing = true;
      // What other channels append in this turn of the event loop goes along.
      setImmediate(() => void this.#flushAll(link, group, confirmation));
    });
  }

  /** Never rejects. */
  async #flushAll(link: Link, group: Group, confirmation: Confirmation): Promise<void> {
    while (group.items.length > 0) {
      const items = group.items.splice(0);
      try {
        group.items.push(...(await this.#flush(link, items, confirmation)));
      } catch (error) {
        for (const { reject } of items) reject(error);
      }
    }
    group.isFlushing = false;
  }

  /** Resolves with those to be sent again because Redis does not have the script. */
  async #flush(link: Link, items: readonly Item[], confirmation: Confirmation): Promise<Item[]> {
    const { command, count, isSetting } = confirmation;
    const deadlineMs = this.#deadlines.appendMs + this.#durability.timeoutMs;
    const replies = await link.exchange([...items.map((item) => item.command), command], deadlineMs);
    const confirmed = replies.pop() as Buffer;
    const fault = faultIn(confirmed);
    if (fault !== null) throw fault;
    const late = this.#judge(count(new ReplyReader(confirmed).value()));
    // A new one is asked, and refused until it fits again.
    if (late !== null && isSetting) link.destroy(`no longer runs with ${ALWAYS_TEXT}`);
    return items.filter((item, i) => {
      const reply = replies[i] as Buffer;
      const refused = faultIn(reply);
      if (refused?.word === 'NOSCRIPT') {
        item.command = scriptCommand(item.call, { whole: true });
        return true;
      }
      if (refused !== null) item.reject(explained(refused, item.call.script));
      else item.resolve({ reply: new ReplyReader(reply).value(), late });
      return false;
    });
  }

  /** Null when it is as safe as asked. Publishers are told of each message; operators by the manager, once per change. */
  #judge(confirmed: number): RivercastError | null {
    const { level, replicas, timeoutMs } = this.#durability;
    const safe = 'publish it again with the same key to be told when it is safe';
    if (level === 'replicated') {
      if (confirmed >= replicas) return null;
      const had = `${confirmed} of ${replicas} replicas had it after ${timeoutMs} ms`;
      return new RivercastError('not_replicated', `stored, but only ${had}; ${safe}`);
    }
    if (confirmed >= 1) return null;
    return new RivercastError('not_synced', `stored, but not on disk after ${timeoutMs} ms; ${safe}`);
  }

  async #hasWaitAof(link: Link): Promise<boolean> {
    try {
      await this.#ask(link, ['waitaof', '1', '0', '1']);
      return true;
    } catch (error) {
      if (!(error instanceof RedisFault)) throw error;
      if (NO_COMMAND.test(error.message)) return false;
      if (NO_FILE.test(error.message)) throw this.#unfit('Redis must run with appendonly yes');
      throw error;
    }
  }

  async #ask(link: Link, [name, ...args]: readonly [string, ...string[]]): Promise<Reply> {
    try {
      return await link.call(name, args, this.#deadlines.connectMs);
    } catch (error) {
      if (!(error instanceof RedisFault)) throw error;
      // Some who rent out Redis take CONFIG away; that WAITAOF is not there has an answer.
      const isMissing = NO_COMMAND.test(error.message) && name !== 'waitaof';
      if (!isMissing && error.word !== 'NOPERM') throw error;
      throw this.#unfit(`the user of REDIS_URL must be allowed to use the command ${name.toUpperCase()}`);
    }
  }

  #unfit(reason: string): RedisFault {
    return new RedisFault('configuration', `DURABILITY="${this.#durability.level}": ${reason}`);
  }
}

/** What of ALWAYS is otherwise, as CONFIG GET says it; '' when nothing is. */
function unfitSettings(reply: Reply): string {
  const settings = (reply as readonly Reply[]).map(String);
  const wrong = [...ALWAYS].filter(([name, value]) => settings[settings.indexOf(name) + 1] !== value);
  return wrong.map(([name]) => `${name} ${settings[settings.indexOf(name) + 1]}`).join(', ');
}

/** Whether appendonly was switched on, but what is written from then on is not in a file that a start reads. */
function hasNoFile(info: string): boolean {
  const isWriting = /^aof_rewrite_(in_progress|scheduled):1/m.test(info);
  return isWriting && /^aof_base_size:0\b/m.test(info);
}
