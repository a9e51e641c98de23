/** One timer for all connections: everybody once a round. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TimerWheel, type Visited } from '../../src/http/connections/timer-wheel.ts';

class Visitor implements Visited {
  wheelSlot = -1;
  visits = 0;
  onVisit: (() => void) | null = null;

  visit(): void {
    this.visits += 1;
    this.onVisit?.();
  }
}

function wheelOf(slots: number, count: number): { wheel: TimerWheel; all: Visitor[] } {
  const wheel = new TimerWheel(slots);
  const all = Array.from({ length: count }, () => new Visitor());
  for (const one of all) wheel.add(one);
  return { wheel, all };
}

test('everybody is visited once a round, and each tick does an even share', () => {
  const { wheel, all } = wheelOf(6, 60);
  for (let tick = 1; tick <= 6; tick++) {
    wheel.tick();
    assert.equal(all.filter(({ visits }) => visits > 0).length, tick * 10);
  }
  for (const { visits } of all) assert.equal(visits, 1);
});

test('one that was removed is not visited, and may come back', () => {
  const { wheel, all } = wheelOf(3, 3);
  const [one] = all as [Visitor];
  wheel.remove(one);
  wheel.remove(one);
  for (let tick = 0; tick < 3; tick++) wheel.tick();
  assert.deepEqual([one.visits, one.wheelSlot], [0, -1]);
  wheel.add(one);
  for (let tick = 0; tick < 3; tick++) wheel.tick();
  assert.equal(one.visits, 1);
});

test('those that leave while they are visited hide nobody', () => {
  const { wheel, all } = wheelOf(1, 10);
  for (const one of all) one.onVisit = () => wheel.remove(one);
  wheel.tick();
  wheel.tick();
  for (const { visits } of all) assert.equal(visits, 1);
});

test('a wheel of less than one slot has one', () => {
  const { wheel, all } = wheelOf(0, 2);
  wheel.tick();
  for (const { visits } of all) assert.equal(visits, 1);
});
