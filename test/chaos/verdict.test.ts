/** The judge of chaos, on histories made by hand: each kind of fault is caught, and what is no fault is not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Book } from '../../chaos/book.ts';
import { bodyOf, type Code, codeIn, codeOf, nameOf } from '../../chaos/message.ts';
import { demands, tooQuiet } from '../../chaos/report.ts';
import { Story, type ToldGap } from '../../chaos/story.ts';
import { Tally } from '../../chaos/tally.ts';
import type { LogEntry } from '../../chaos/truth.ts';
import { judge, type Verdict } from '../../chaos/verdict.ts';

/** Message `n` is stored as `<n>-0`, unless something else is said. */
const code = (n: number): Code => codeOf(1, n);
const id = (n: number): string => `${n}-0`;
const entries = (...numbers: number[]): LogEntry[] => numbers.map((n) => ({ id: id(n), code: code(n) }));

const gap = (requested: number, cursor: number, more: Partial<ToldGap> = {}): ToldGap => {
  return { reason: 'trimmed', requested: id(requested), lost: null, cursor: id(cursor), ...more };
};

class Scene {
  readonly book = new Book('c', true);
  readonly stories: Story[] = [];
  log: LogEntry[] = [];
  mayLose = false;
  mayReset = false;
  now = 1000;

  /** Stored, and told to its publisher. */
  holds(...numbers: number[]): this {
    this.log.push(...entries(...numbers));
    this.acknowledges(...numbers);
    return this;
  }

  acknowledges(...numbers: number[]): this {
    for (const n of numbers) this.book.acknowledge(code(n), id(n), this.now++);
    return this;
  }

  /** One that starts before everything; what it is sent is of the epoch `a`. */
  subscriber(
    position: string | null = '0-0',
    name = 'somebody',
  ): { story: Story; sent: (...numbers: number[]) => void } {
    const story = new Story(name, this.book, () => this.now++);
    story.start('earliest', position);
    this.stories.push(story);
    return { story, sent: (...numbers) => numbers.forEach((n) => story.entry(id(n), 'a', code(n))) };
  }

  judge(): Verdict {
    return judge(this);
  }

  /** What was found, and that its account names this. */
  finds(fault: string, ...named: string[]): void {
    const { violations } = this.judge();
    assert.deepEqual(
      [...new Set(violations.map((violation) => violation.fault))],
      [fault],
      accounts(violations),
    );
    for (const name of named) assert.ok(accounts(violations).includes(name), accounts(violations));
  }

  isGood(): void {
    const { violations } = this.judge();
    assert.equal(violations.length, 0, accounts(violations));
  }
}

function accounts(violations: Verdict['violations']): string {
  return violations.map(({ fault, account }) => `${fault}: ${account}`).join('\n');
}

describe('what is no fault', () => {
  test('everybody has everything, from wherever he started', () => {
    const scene = new Scene().holds(1, 2, 3);
    scene.subscriber().sent(1, 2, 3);
    scene.subscriber('2-0').sent(3);
    scene.subscriber(null).sent(2, 3);
    scene.isGood();
  });

  test('one that is told no ids has the same messages', () => {
    const scene = new Scene().holds(1, 2, 3);
    const { story } = scene.subscriber();
    for (const n of [1, 2]) story.bare(code(n));
    scene.subscriber().sent(1, 2, 3);
    assert.equal(story.cursor, '2-0@a');
    story.bare(code(3));
    assert.ok(story.isAt({ id: '3-0', code: code(3) }));
    scene.isGood();
  });

  test('what was trimmed is told, with its count', () => {
    const scene = new Scene().holds(1, 2, 3, 4);
    scene.subscriber().sent(1, 2, 3, 4);
    const late = scene.subscriber();
    late.sent(1);
    late.story.gap(gap(1, 3, { lost: 2 }));
    late.sent(4);
    scene.log = entries(4);
    scene.isGood();
  });

  test('a message whose first copy was lost comes again after a reset', () => {
    const scene = new Scene();
    scene.mayReset = true;
    scene.holds(1);
    const { story, sent } = scene.subscriber();
    sent(1, 2);
    story.gap(gap(2, 1, { reason: 'reset', cursor: '1-0@b.1' }));
    story.entry('5-0', 'b', code(2));
    scene.log.push({ id: '5-0', code: code(2) });
    scene.book.acknowledge(code(2), '5-0', scene.now++);
    scene.isGood();
  });

  test('where loss is allowed, what was acknowledged and lost is told by a reset', () => {
    const scene = new Scene();
    scene.mayReset = true;
    scene.mayLose = true;
    const { story, sent } = scene.subscriber();
    scene.holds(1);
    sent(1);
    scene.acknowledges(2);
    story.gap(gap(1, 1, { reason: 'reset', cursor: '1-0@b.1' }));
    story.entry('5-0', 'b', code(5));
    scene.log.push(...entries(5));
    scene.isGood();
    assert.deepEqual([scene.judge().lostAndTold, scene.judge().void], [1, 1]);
  });

  test('two masters took messages for a while, and ids of both lie among each other', () => {
    const scene = new Scene();
    scene.mayReset = true;
    scene.holds(1, 3, 5);
    const { story, sent } = scene.subscriber();
    sent(1, 2, 4);
    story.gap(gap(4, 1, { reason: 'reset', cursor: '1-0@b.1' }));
    story.entry(id(3), 'b', code(3));
    story.entry(id(5), 'b', code(5));
    scene.isGood();
  });

  test('a node that has not noticed yet sends again what a reset took back, and then tells one itself', () => {
    const scene = new Scene();
    scene.mayReset = true;
    scene.holds(1, 5);
    const { story, sent } = scene.subscriber();
    sent(1, 2, 3);
    story.gap(gap(3, 1, { reason: 'reset' }));
    sent(2, 3);
    story.gap(gap(3, 1, { reason: 'reset' }));
    sent(5);
    scene.isGood();
  });

  test('one that begins anew may be sent again what it had', () => {
    const scene = new Scene().holds(1, 2, 3);
    const { story, sent } = scene.subscriber();
    sent(1, 2);
    story.start('last:2', '1-0');
    sent(2, 3);
    scene.isGood();
  });
});

describe('what is lost', () => {
  test('a message in the middle', () => {
    const scene = new Scene().holds(1, 2, 3);
    scene.subscriber('0-0', 'the one').sent(1, 3);
    scene.finds('lost', '1-2 (2-0, kept)', 'the one', '1-1 (1-0)');
  });

  test('the newest message', () => {
    const scene = new Scene().holds(1, 2, 3);
    scene.subscriber().sent(1, 2);
    scene.finds('lost', '1-3 (3-0, kept)', 'it never came');
  });

  test('the oldest message', () => {
    const scene = new Scene().holds(1, 2, 3);
    scene.subscriber().sent(2, 3);
    scene.finds('lost', '1-1 (1-0, kept)');
  });

  test('a message to one that is told no ids', () => {
    const scene = new Scene().holds(1, 2, 3);
    scene.subscriber().sent(1, 2, 3);
    const { story } = scene.subscriber();
    story.bare(code(1));
    story.bare(code(3));
    scene.finds('lost', '1-2 (2-0, kept)');
  });

  test('everything', () => {
    const scene = new Scene().holds(1);
    scene.subscriber(null);
    scene.finds('lost', 'never began');
  });

  test('an acknowledged message that the log does not have', () => {
    const scene = new Scene().holds(1).acknowledges(2).holds(3);
    scene.mayReset = true;
    scene.subscriber().sent(1, 3);
    scene.finds('lost', '1-2 (2-0, void) was acknowledged');
  });

  test('an acknowledged message that is stored under another id', () => {
    const scene = new Scene().holds(1).acknowledges(2);
    scene.log.push({ id: '3-0', code: code(2) });
    const { story, sent } = scene.subscriber();
    sent(1);
    story.entry('3-0', 'a', code(2));
    scene.finds('lost', '1-2 (2-0, void) was acknowledged');
  });

  test('one that nobody was told of, where loss is allowed', () => {
    const scene = new Scene();
    scene.mayLose = true;
    scene.mayReset = true;
    const { sent } = scene.subscriber();
    scene.now += 60_000;
    scene.holds(1).acknowledges(2).holds(3);
    sent(1, 3);
    scene.finds('lost', '1-2 (2-0, void)', 'was not told');
  });

  test('one acknowledged after the reset that was told', () => {
    const scene = new Scene();
    scene.mayLose = true;
    scene.mayReset = true;
    const { story, sent } = scene.subscriber();
    scene.holds(1);
    sent(1);
    story.gap(gap(1, 1, { reason: 'reset' }));
    scene.now += 60_000;
    scene.acknowledges(2).holds(3);
    sent(3);
    scene.finds('lost', '1-2 (2-0, void)', 'was not told');
  });
});

describe('what comes twice, or in another order', () => {
  test('an entry twice', () => {
    const scene = new Scene().holds(1, 2, 3);
    scene.subscriber().sent(1, 2, 2, 3);
    scene.finds('duplicated', '1-2 (2-0, kept) was sent twice');
  });

  test('an entry again after a resume', () => {
    const scene = new Scene().holds(1, 2, 3);
    const { story, sent } = scene.subscriber();
    sent(1, 2);
    story.note('comes back after 2-0');
    sent(1, 2, 3);
    scene.finds('duplicated', '1-1 (1-0, kept) was sent twice', '1-2 (2-0, kept) was sent twice');
  });

  test('an entry again after a reset that the log has not lost', () => {
    const scene = new Scene().holds(1, 2, 3);
    scene.mayReset = true;
    const { story, sent } = scene.subscriber();
    sent(1, 2);
    story.gap(gap(2, 1, { reason: 'reset' }));
    sent(2, 3);
    scene.finds('duplicated', '1-2 (2-0, kept) was sent twice');
  });

  test('a message twice to one that is told no ids', () => {
    const scene = new Scene().holds(1, 2);
    scene.subscriber().sent(1, 2);
    const { story } = scene.subscriber();
    for (const n of [1, 1, 2]) story.bare(code(n));
    scene.finds('duplicated', '1-1 (1-0, kept) was sent twice');
  });

  test('a message that is stored twice', () => {
    const scene = new Scene().holds(1, 2);
    scene.log.push({ id: '3-0', code: code(1) });
    const { story, sent } = scene.subscriber();
    sent(1, 2);
    story.entry('3-0', 'a', code(1));
    scene.finds('duplicated', 'stored twice: 1-1 (1-0, kept) and 1-1 (3-0, kept)');
  });

  test('entries in another order', () => {
    const scene = new Scene().holds(1, 2, 3);
    scene.subscriber().sent(1, 3, 2);
    const faults = scene.judge().violations.map(({ fault }) => fault);
    assert.deepEqual(faults, ['lost', 'out of order']);
  });

  test('a log whose ids do not rise', () => {
    const scene = new Scene().holds(1, 3, 2);
    const faults = scene.judge().violations.map(({ fault }) => fault);
    assert.deepEqual(faults, ['out of order']);
  });
});

describe('what is told wrongly', () => {
  /** 1 to 4 were there, and the log has 4 only. */
  const trimmed = (told: ToldGap, ...then: number[]): Scene => {
    const scene = new Scene().holds(1, 2, 3, 4);
    scene.subscriber().sent(1, 2, 3, 4);
    const late = scene.subscriber();
    late.sent(1);
    late.story.gap(told);
    late.sent(...then);
    scene.log = entries(4);
    return scene;
  };

  test('a gap that is too small', () => {
    trimmed(gap(1, 2, { lost: 1 }), 4).finds('lost', '1-3 (3-0, trimmed)');
  });

  test('a gap that is too large', () => {
    trimmed(gap(1, 4, { lost: 3 })).finds('unexplained gap', 'covers 1-4 (4-0, kept), which is there');
  });

  test('a gap with another count', () => {
    trimmed(gap(1, 3, { lost: 1 }), 4).finds(
      'unexplained gap',
      '1 were told to be trimmed, and 2 are missing',
    );
    trimmed(gap(1, 3, { lost: 3 }), 4).finds(
      'unexplained gap',
      '3 were told to be trimmed, and 2 are missing',
    );
  });

  test('a gap after another place than where the subscriber stands', () => {
    trimmed(gap(2, 3, { lost: null }), 4).finds('unexplained gap', 'after 2-0, and it stood at 1-1');
  });

  test('a gap where nothing is missing', () => {
    const scene = new Scene().holds(1, 2);
    const { story, sent } = scene.subscriber();
    sent(1);
    story.gap(gap(1, 1, { reason: 'deleted', lost: 1 }));
    sent(2);
    scene.finds('unexplained gap', 'deleted was told');
  });

  test('a reset of a log that loses nothing', () => {
    const scene = new Scene().holds(1, 2);
    const { story, sent } = scene.subscriber();
    sent(1);
    story.gap(gap(1, 1, { reason: 'reset' }));
    sent(2);
    scene.finds('unexplained gap', 'a reset to 1-0 was told');
  });

  test('a reset that passes over what is there', () => {
    const scene = new Scene().holds(1, 2, 3);
    scene.mayReset = true;
    const { story, sent } = scene.subscriber();
    sent(1);
    story.gap(gap(1, 2, { reason: 'reset' }));
    sent(3);
    scene.finds('unexplained gap', 'the reset covers 1-2 (2-0, kept)');
  });

  test('no reset, although something was sent that the log has lost', () => {
    const scene = new Scene();
    scene.mayReset = true;
    const { sent } = scene.subscriber();
    scene.holds(1, 3);
    sent(1, 2, 3);
    scene.finds('unexplained gap', 'nobody said that 1-2 (2-0, void) was lost');
  });

  test('no reset to the end', () => {
    const scene = new Scene().holds(1);
    scene.mayReset = true;
    scene.subscriber().sent(1, 2);
    scene.finds('unexplained gap', 'nobody said to the end that 1-2 (2-0, void) was lost');
  });

  test('another history, and nobody says so', () => {
    const scene = new Scene().holds(1, 2);
    const { story, sent } = scene.subscriber();
    sent(1);
    story.entry(id(2), 'b', code(2));
    scene.finds('unexplained gap', 'the epoch went from a to b untold');
  });

  test('a message that is neither in the log nor was it lost', () => {
    const scene = new Scene().holds(1);
    const { sent } = scene.subscriber();
    sent(1);
    const bare = scene.subscriber();
    bare.story.bare(code(1));
    bare.story.bare(code(7));
    scene.finds('foreign', '1-7 was sent');
  });
});

test('a run that did too little is told so, whatever it is short of', () => {
  const wanted = demands('redis', 60_000);
  const did = [
    'kills of servers',
    'acknowledged',
    'retries',
    'duplicates suppressed',
    'resumes',
    'failovers',
  ];
  const busy = (without?: string): Tally => {
    const tally = new Tally();
    for (const name of did) if (name !== without) tally.add(name, 10_000);
    return tally;
  };
  assert.deepEqual(tooQuiet(busy(), wanted), []);
  for (const name of did) assert.equal(tooQuiet(busy(name), wanted).length, 1, name);
  assert.ok(tooQuiet(new Tally(), demands('embedded', 4000)).includes('too quiet: 0 kills, and it takes 1'));
});

test('a message is known by what it holds, and only whole', () => {
  for (const n of [0, 1, 2, 3, 4, 123_456]) {
    const { kind, text } = bodyOf(code(n));
    assert.equal(codeIn(kind === 'binary', text), code(n));
    assert.equal(codeIn(kind === 'binary', `${text}x`), null);
    assert.equal(codeIn(kind !== 'binary', text), null);
    assert.equal(nameOf(code(n)), `1-${n}`);
  }
});
