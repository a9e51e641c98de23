/** So many steps a turn, for all together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from '../src/pace.ts';
import { turn } from './support/followed-log.ts';

test('a few steps are taken at once, more wait for later turns, in order', async () => {
  const pace = new Pace(3);
  const taken: number[] = [];
  const steps = Array.from({ length: 10 }, async (_, n) => {
    const wait = pace.step();
    if (wait !== null) await wait;
    taken.push(n);
  });
  assert.deepEqual(taken, [0, 1, 2]);
  const perTurn: number[] = [];
  while (taken.length < 10) {
    const before = taken.length;
    await turn();
    perTurn.push(taken.length - before);
  }
  await Promise.all(steps);
  assert.deepEqual(taken, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.ok(Math.max(...perTurn) <= 3, perTurn.join(' '));
});

test('who comes in a later turn finds it free again', async () => {
  const pace = new Pace(1);
  assert.equal(pace.step(), null);
  await turn();
  await turn();
  assert.equal(pace.step(), null);
});

test('nobody slips in before those that wait', async () => {
  const pace = new Pace(1);
  assert.equal(pace.step(), null);
  const order: string[] = [];
  const first = pace.step()?.then(() => order.push('first'));
  await turn();
  const second = pace.step();
  await Promise.all([first, second?.then(() => order.push('second'))]);
  assert.deepEqual(order, ['first', 'second']);
});
