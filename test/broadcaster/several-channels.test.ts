/** One connection that follows several channels: its turns, and what one channel may cost another. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { V1 } from '../../src/broadcaster/formats/v1.ts';
import { Subscriber } from '../../src/broadcaster/subscriber.ts';
import { type OnGap, Subscription } from '../../src/broadcaster/subscription.ts';
import { Tail } from '../../src/broadcaster/tail.ts';
import { at, entries, entry, gapPage, pageOf, Rig } from '../support/broadcast-rig.ts';
import { turn } from '../support/followed-log.ts';
import { RecordingTransport } from '../support/recording-transport.ts';
import { messagesOf, type V1Frame } from '../support/v1-client.ts';

interface Several {
  readonly rig: Rig;
  readonly transport: RecordingTransport;
  readonly subscriber: Subscriber;
  readonly tails: readonly Tail[];
  readonly subscriptions: readonly Subscription[];
}

/** A subscriber at the tip of channels `c0`, `c1`, … */
function several(count: number, onGap: OnGap = 'skip', writeBytes = 4096): Several {
  const rig = new Rig({ writeBytes });
  const transport = new RecordingTransport();
  const subscriber = new Subscriber(rig.context, transport, V1);
  const tails = Array.from({ length: count }, (_, i) => new Tail(`c${i}`, at(0), rig.context));
  const subscriptions = tails.map((tail) => {
    const subscription = new Subscription(tail, subscriber, { cursor: at(0), fresh: false, onGap });
    subscriber.add(subscription);
    tail.add(subscription);
    return subscription;
  });
  return { rig, transport, subscriber, tails, subscriptions };
}

function framesOf({ transport }: Several): V1Frame[] {
  return transport.texts.map((text) => JSON.parse(text) as V1Frame);
}

/** The channels of the messages frames, in order. */
function channelsOf(scene: Several): unknown[] {
  return framesOf(scene)
    .filter(({ type }) => type === 'messages')
    .map(({ channel }) => channel);
}

/** The socket takes one write each time, and then no more until it drains. */
function drainOnce({ transport, subscriber }: Several): void {
  transport.drain();
  let writes = 0;
  transport.onWrite = () => {
    writes += 1;
    if (writes === 1) transport.outcome = 'pending';
  };
  subscriber.drained();
}

describe('turns', () => {
  test('a quiet channel waits for one write of a flooded one at most', () => {
    const scene = several(2);
    const [flooded, quiet] = scene.tails as [Tail, Tail];
    scene.transport.outcome = 'pending';
    for (let n = 1; n <= 200; n++) flooded.push(pageOf([entry(n, 'x'.repeat(1000))]));
    quiet.push(pageOf([entry(1, 'quiet')]));
    drainOnce(scene);
    drainOnce(scene);
    assert.ok(channelsOf(scene).includes('c1'), 'within two writes');
    for (let i = 0; i < 200; i++) drainOnce(scene);
    const texts = framesOf(scene).flatMap((frame) => messagesOf(frame));
    assert.equal(texts.length, 201);
  });

  test('two flooded channels get about the same bytes', () => {
    const scene = several(2);
    scene.transport.outcome = 'pending';
    for (const tail of scene.tails) {
      for (let n = 1; n <= 100; n++) tail.push(pageOf([entry(n, 'x'.repeat(1000))]));
    }
    for (let i = 0; i < 30; i++) drainOnce(scene);
    const counts = ['c0', 'c1'].map((name) => channelsOf(scene).filter((channel) => channel === name).length);
    assert.ok(Math.abs((counts[0] as number) - (counts[1] as number)) <= 4, counts.join());
  });

  test('end, however many channels there are with nothing to send', async () => {
    // So large that a few turns are as much as one pump may write.
    const scene = several(100, 'skip', 256 * 1024);
    scene.transport.outcome = 'pending';
    scene.tails[3]?.push(pageOf([entry(1)]));
    scene.transport.drain();
    scene.subscriber.drained();
    await turn();
    const { slices } = scene.rig.context.passes.stats;
    for (let i = 0; i < 20; i++) await turn();
    assert.equal(scene.rig.context.passes.stats.slices, slices, 'no slice follows another for ever');
  });

  test('reach every channel, whichever of them had to be left meanwhile', () => {
    for (const ending of [0, 1, 2, 3]) {
      const scene = several(4, 'end');
      scene.transport.outcome = 'pending';
      // Stalls it, so that all that follows waits for the drain.
      scene.tails[0]?.push(pageOf([entry(1)]));
      for (const [i, tail] of scene.tails.entries()) {
        if (i === ending) tail.push(gapPage('damaged', at(5)));
        else tail.push(pageOf([entry(i === 0 ? 2 : 1)]));
      }
      scene.transport.drain();
      scene.subscriber.drained();
      const told = new Set(channelsOf(scene));
      for (const i of [0, 1, 2, 3]) {
        if (i !== ending) assert.ok(told.has(`c${i}`), `c${i} when c${ending} ended`);
      }
      assert.equal(scene.subscriber.subscriptions.length, 3);
    }
  });

  test('leave the order of a channel as it is', () => {
    const scene = several(3);
    for (let n = 1; n <= 300; n++) {
      if (n % 7 === 0) scene.transport.outcome = 'pending';
      for (const tail of scene.tails) tail.push(pageOf([entry(n)]));
      if (n % 11 === 0) drainOnce(scene);
    }
    for (let i = 0; i < 50; i++) drainOnce(scene);
    for (const name of ['c0', 'c1', 'c2']) {
      const ids = framesOf(scene)
        .filter(({ channel }) => channel === name)
        .flatMap((frame) => messagesOf(frame).map(({ id }) => id));
      assert.deepEqual(
        ids,
        entries(1, 300).map(({ id }) => id),
      );
    }
  });
});

describe('how far it is behind', () => {
  test('does not count a channel that it has left', () => {
    const scene = several(2);
    const [left, kept] = scene.tails as [Tail, Tail];
    scene.transport.outcome = 'pending';
    kept.push(pageOf([entry(1)]));
    scene.subscriber.leave(scene.subscriptions[0] as Subscription);
    left.push(pageOf(entries(1, 500)));
    assert.deepEqual([scene.subscriber.lag.entries, scene.subscriber.lag.bytes], [0, 0]);
    kept.push(pageOf(entries(2, 31)));
    assert.equal(scene.subscriber.lag.entries, 30);
  });

  test('counts a channel that it came to while it did not read', () => {
    const scene = several(1);
    scene.transport.outcome = 'pending';
    scene.tails[0]?.push(pageOf([entry(1)]));
    const late = new Tail('late', at(0), scene.rig.context);
    const options = { cursor: at(0), fresh: false, onGap: 'skip' } as const;
    const subscription = new Subscription(late, scene.subscriber, options);
    scene.subscriber.add(subscription);
    late.add(subscription);
    late.push(pageOf(entries(1, 40)));
    assert.equal(scene.subscriber.lag.entries, 40);
    assert.ok(scene.subscriber.lag.bytes > 0);
  });
});

describe('a position', () => {
  test('is told of each channel that was quiet, in one write', () => {
    const scene = several(3);
    scene.tails[1]?.push(pageOf([entry(1)]));
    assert.equal(scene.subscriber.visit(2), null);
    assert.equal(scene.subscriber.visit(2), null);
    scene.tails[0]?.push(pageOf([entry(1)]));
    const said = scene.subscriber.visit(2) ?? assert.fail();
    scene.transport.writes.length = 0;
    scene.transport.write(said);
    assert.deepEqual(framesOf(scene), [
      { type: 'cursor', channel: 'c1', cursor: '1-0@e1.1' },
      { type: 'cursor', channel: 'c2', cursor: '0-0@e1.0' },
    ]);
  });

  test('is not told to one whose socket pushes back', () => {
    const scene = several(1);
    scene.transport.outcome = 'pending';
    scene.tails[0]?.push(pageOf([entry(1)]));
    for (let i = 0; i < 10; i++) assert.equal(scene.subscriber.visit(1), null);
  });
});
