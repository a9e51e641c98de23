/**
 * A failover that lost the newest entries is told to whoever had them, whatever came to the new primary since:
 * to a follower that waited through it, to one that comes back to the process that had followed the channel, and
 * to one that comes to a process that never saw it. After the reset each has exactly what there is.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LIMITS, texts } from '../support/redis-log.ts';
import { within } from '../support/within.ts';
import { FailoverScene, OUTCOMES, type Outcome } from './failover-scene.ts';
import { FORMS, type Followed, type Form, followLive, followToEnd, inForm } from './follow.ts';

const NAMES = Object.keys(OUTCOMES) as Outcome[];
const USES = ['live', 'late', 'latecomer', ...FORMS.flatMap((form) => [`lived ${form}`, `fresh ${form}`])];

let scene: FailoverScene;

before(async () => {
  scene = new FailoverScene();
  const channels = NAMES.flatMap((outcome) => USES.map((use) => [nameOf(outcome, use), outcome] as const));
  await scene.run(new Map(channels), (name) => name.endsWith('live'));
});

after(async () => {
  await scene[Symbol.asyncDispose]();
});

/**
 * Where the epoch was not changed yet and the id is there again, a process that never saw the lost entry has
 * nothing to tell it by.
 */
function isUnknowable(outcome: Outcome): boolean {
  return outcome.startsWith('that gave');
}

for (const outcome of NAMES) {
  describe(`a failover to a replica ${outcome}`, () => {
    test('is told to a follower that waited through it', async () => {
      const name = nameOf(outcome, 'live');
      const { cursors, live } = scene.of(name);
      const followed = await within('the follower', live as Promise<Followed>);
      assert.deepEqual([followed.told, followed.texts], [['reset'], [...OUTCOMES[outcome]]]);
      assert.equal(followed.gaps[0]?.resumeAt.id, cursors[1].id);
      assert.equal(followed.end.epoch, await scene.epochOf(name));
      assert.notEqual(followed.end.epoch, cursors[3].epoch);
      await scene.lived.append(name, texts('more'));
      const rest = await followLive(scene.lived, name, followed.end, 1);
      assert.deepEqual([rest.told, rest.texts], [[], ['more']]);
    });

    for (const form of FORMS) {
      test(`is told to ${form} at the process that had followed it`, async () => {
        const name = nameOf(outcome, `lived ${form}`);
        await resumes(name, outcome, form, 'lived');
      });

      test(`is told to ${form} at a process that never saw it, or can not be`, async () => {
        const name = nameOf(outcome, `fresh ${form}`);
        if (isUnknowable(outcome)) await missesIt(name, outcome, form);
        else await resumes(name, outcome, form, 'fresh');
      });
    }
  });
}

test('who followed what the new primary took, before anybody noticed the loss, is told, and sent nothing again', async () => {
  const outcome = 'whose tip is past the cursor';
  const name = nameOf(outcome, 'late');
  const fresh = await scene.fresh();
  const { cursors } = scene.of(name);
  const early = await followToEnd(fresh, name, cursors[1]);
  assert.deepEqual([early.told, early.texts], [[], [...OUTCOMES[outcome]]]);
  assert.equal(early.end.epoch, cursors[3].epoch);
  await scene.lived.read(name, cursors[3], LIMITS);
  await scene.lived.append(name, texts('more'));
  for (const form of ['id@epoch', 'a full cursor'] as const) {
    const again = await followToEnd(fresh, name, inForm(early.end, form));
    assert.deepEqual([again.told, again.texts], [['reset'], ['more']]);
    const lost = await followToEnd(fresh, name, inForm(cursors[3], form));
    assert.deepEqual([lost.told, lost.texts], [['reset'], [...OUTCOMES[outcome], 'more']]);
  }
});

test('a process that had seen nothing of what was kept tells a reset once, with a place that an entry follows', async () => {
  const outcome = 'whose tip is past the cursor';
  const name = nameOf(outcome, 'latecomer');
  const { cursors } = scene.of(name);
  const [, b] = cursors;
  const followed = await followToEnd(scene.latecomer, name, cursors[3]);
  assert.deepEqual([followed.told, followed.texts], [['reset'], [...OUTCOMES[outcome]]]);
  assert.equal(followed.gaps[0]?.resumeAt.id, b.id);
  assert.notEqual(followed.end.epoch, b.epoch);
});

/** The limit, as it is; and its end, once somebody who saw the lost entries has come by. */
async function missesIt(name: string, outcome: Outcome, form: Form): Promise<void> {
  const fresh = await scene.fresh();
  const { cursors } = scene.of(name);
  const there: readonly string[] = OUTCOMES[outcome];
  const cursor = inForm(cursors[3], form);
  const missed = await followToEnd(fresh, name, cursor);
  assert.deepEqual([missed.told, missed.texts], [[], there.slice(there.indexOf('y') + 1)]);
  await scene.lived.read(name, cursors[3], LIMITS);
  const followed = await followToEnd(fresh, name, cursor);
  if (form === 'a plain id') assert.deepEqual([followed.told, followed.texts], [missed.told, missed.texts]);
  else assert.deepEqual([followed.told, followed.texts], [['reset'], there]);
}

async function resumes(name: string, outcome: Outcome, form: Form, at: 'lived' | 'fresh'): Promise<void> {
  const log = at === 'lived' ? scene.lived : await scene.fresh();
  const { cursors } = scene.of(name);
  const followed = await within('the end', followToEnd(log, name, inForm(cursors[3], form)));
  // Without the chain and without an ordinal a stranger can say that something is missing, but not why.
  const isVague =
    at === 'fresh' && outcome.endsWith('past the cursor, by a foreign writer') && form !== 'a full cursor';
  assert.deepEqual(
    [followed.told, followed.texts],
    [[isVague ? 'deleted ?' : 'reset'], [...OUTCOMES[outcome]]],
  );
  await log.append(name, texts('more'));
  const rest = await followToEnd(log, name, followed.end);
  assert.deepEqual([rest.told, rest.texts], [[], ['more']]);
  const again = await followToEnd(log, name, followed.end);
  assert.deepEqual([again.told, again.texts], [[], ['more']]);
}

function nameOf(outcome: Outcome, use: string): string {
  return `${NAMES.indexOf(outcome)}.${use.replaceAll(/\W/g, '-')}`;
}
