/**
 * RFC 6455 by its sections: each case at both doors, raw and in rivercast.v1, its bytes at once, one by one, between
 * two messages in one piece, and in one piece with the handshake. Publishers are read on a shortcut with `ws` behind
 * it (fast-lane.ts): the line between the two is what most of the ways are for.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Case } from './case.ts';
import { CONTROL_FRAMES } from './control.ts';
import { converse, DOORS, Scene } from './conversation.ts';
import { FRAGMENTATION } from './fragmentation.ts';
import { FRAMING } from './framing.ts';
import { UTF8 } from './utf8.ts';

const CASES: readonly Case[] = [...FRAMING, ...FRAGMENTATION, ...CONTROL_FRAMES, ...UTF8];

describe('RFC 6455', { concurrency: 8 }, () => {
  let scene: Scene;
  before(async () => {
    scene = await Scene.start();
  });
  after(async () => {
    await scene[Symbol.asyncDispose]();
  });

  for (const each of CASES) {
    test(each.name, async () => {
      await Promise.all(
        DOORS.flatMap((door) =>
          door.ways.map(async (way) => {
            await converse(scene, door, way, each).catch((cause: unknown) => {
              throw new Error(`at ${door.name}, ${way}: ${(cause as Error).message}`, { cause });
            });
          }),
        ),
      );
    });
  }
});

test('the cases have names of their own, and are many', () => {
  assert.equal(new Set(CASES.map(({ name }) => name)).size, CASES.length);
  assert.ok(CASES.length > 500, `${CASES.length} cases`);
});
