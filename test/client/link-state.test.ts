import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LinkEvent, type LinkState, NEXT } from '../../src/client/link-state.ts';

const STATES = Object.keys(NEXT) as LinkState[];
const EVENTS = Object.keys(NEXT.idle) as LinkEvent[];

test('every state has an answer to every event, and it is a state', () => {
  for (const state of STATES) {
    assert.deepEqual(Object.keys(NEXT[state]), EVENTS);
    for (const event of EVENTS) assert.ok(STATES.includes(NEXT[state][event]));
  }
});

test('an end is for good, a refusal and a close are an end, and who is not needed rests', () => {
  for (const event of EVENTS) assert.equal(NEXT.ended[event], 'ended');
  for (const state of STATES) {
    assert.equal(NEXT[state].refused, 'ended');
    assert.equal(NEXT[state].closed, 'ended');
    if (state !== 'ended') assert.equal(NEXT[state].spare, 'idle');
  }
});

test('from wherever it is needed it comes to be open, if nothing goes wrong', () => {
  const path: readonly LinkEvent[] = ['need', 'online', 'due', 'opened'];
  for (const state of STATES.filter((state) => state !== 'ended')) {
    assert.equal(
      path.reduce<LinkState>((at, event) => NEXT[at][event], state),
      'open',
      state,
    );
  }
});

test('nobody connects who was not asked to', () => {
  for (const event of EVENTS.filter((event) => event !== 'need')) {
    assert.ok(NEXT.idle[event] === 'idle' || NEXT.idle[event] === 'ended', event);
  }
});
