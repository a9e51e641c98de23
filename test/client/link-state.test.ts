import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LinkEvent, type LinkState, nextLinkState as next } from '../../src/client/link-state.ts';

const STATES: readonly LinkState[] = ['idle', 'connecting', 'open', 'waiting', 'offline', 'ended'];
const EVENTS: readonly LinkEvent[] = [
  ...(['need', 'spare', 'opened', 'lost', 'due', 'offline', 'online', 'refused', 'closed'] as const),
];

test('every state has an answer to every event, and it is a state', () => {
  for (const state of STATES) {
    for (const event of EVENTS) assert.ok(STATES.includes(next(state, event)));
  }
});

test('an end is for good, a refusal and a close are an end, and who is not needed rests', () => {
  for (const event of EVENTS) assert.equal(next('ended', event), 'ended');
  for (const state of STATES) {
    assert.equal(next(state, 'refused'), 'ended');
    assert.equal(next(state, 'closed'), 'ended');
    if (state !== 'ended') assert.equal(next(state, 'spare'), 'idle');
  }
});

test('from wherever it is needed it comes to be open, if nothing goes wrong', () => {
  const path: readonly LinkEvent[] = ['need', 'online', 'due', 'opened'];
  for (const state of STATES.filter((state) => state !== 'ended')) {
    assert.equal(
      path.reduce<LinkState>((at, event) => next(at, event), state),
      'open',
      state,
    );
  }
});

test('nobody connects who was not asked to', () => {
  for (const event of EVENTS.filter((event) => event !== 'need')) {
    assert.ok(next('idle', event) === 'idle' || next('idle', event) === 'ended', event);
  }
});

test('a machine that says it has no network is tried now and then, and at once when it has one', () => {
  assert.equal(next('offline', 'lost'), 'offline');
  assert.equal(next('offline', 'due'), 'connecting');
  assert.equal(next('offline', 'online'), 'connecting');
});
