/** Connections lost in the middle of a batch, or while requests on them wait: what was received whole is stored. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CHANNEL, NDJSON, type Scene, scene } from '../support/history.ts';
import { BATCH_HEAD, chunk, LAST_CHUNK, postText } from '../support/posts.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { until, within } from '../support/within.ts';

const START = { id: '0-0', epoch: null, ordinal: null };
const ALL = { maxEntries: 100, maxBytes: 1e9 };

/** A batch of two entries, of which only the first is read on for while the log stands still: too many lines wait. */
const STUCK_BY_LINES = `${BATCH_HEAD}${chunk(`{"data":"0"}\n${'x\n'.repeat(20_000)}`)}${chunk('{"data":"1"}')}${LAST_CHUNK}`;
/** The same, because the first has more bytes than there is room for. */
const STUCK_BY_BYTES = `${BATCH_HEAD}${chunk(`{"data":"0${' '.repeat(5000)}"}\n`)}${chunk('{"data":"1"}')}${LAST_CHUNK}`;
const BATCH = postText('{"data":"2"}\n{"data":"3"}', `Content-Type: ${NDJSON}`);

async function stored({ log }: Scene): Promise<string> {
  const { entries } = await log.inner.read(CHANNEL, START, ALL);
  return entries.map(({ data }) => data.toString().trim()).join();
}

async function untilNothingWaits({ server }: Scene): Promise<void> {
  await until('nothing waits', () => server.stats.posts === 0 && server.stats.unstoredBytes === 0);
}

describe('a batch that is cut', () => {
  test('has stored what came whole, and leaves nothing behind', async () => {
    await using s = await scene(0);
    await using raw = await RawSocket.connect(s.address);
    raw.write(BATCH_HEAD);
    raw.write(chunk('{"data":"one"}\n{"data":"two"}\n{"data":"three"}'));
    await until('two are stored', async () => (await stored(s)) === 'one,two');
    raw.reset();
    await until('it is gone', () => s.server.stats.posts === 0);
    raw.reset();
    assert.equal(await stored(s), 'one,two');
  });

  test('by the end of its connection as well', async () => {
    await using s = await scene(0);
    s.log.hold('append');
    await using raw = await RawSocket.connect(s.address);
    raw.write(BATCH_HEAD);
    raw.write(chunk('{"data":"one"}\n{"da'));
    await until('it is in flight', () => s.log.running('append') === 1);
    raw.socket.end();
    await raw.closed;
    s.log.release('append');
    await untilNothingWaits(s);
    assert.equal(await stored(s), 'one');
  });

  test('because nothing comes for long', async () => {
    await using s = await scene(0, { IDLE_TIMEOUT_MS: '300ms', HEARTBEAT_MS: '100ms' });
    await using raw = await RawSocket.connect(s.address);
    raw.write(BATCH_HEAD);
    raw.write(chunk('{"data":"one"}\n'));
    await within('the cut', raw.closed);
    assert.equal(await stored(s), 'one');
  });
});

describe('a connection that is lost while requests on it wait for their turn', () => {
  test('has all its whole requests stored, in their order', async () => {
    await using s = await scene(0, { OVERLOADED_AFTER_MS: '1m' });
    await using raw = await RawSocket.connect(s.address);
    s.log.hold('append');
    raw.write(`${STUCK_BY_LINES}${BATCH}${postText('4')}${BATCH}${postText('5')}`);
    await until('all are here', () => s.server.stats.posts === 5);
    raw.reset();
    await until('it is gone', () => s.server.stats.posts < 5);
    s.log.release('append');
    await untilNothingWaits(s);
    assert.equal(await stored(s), '0,1,2,3,4,2,3,5');
  });

  test('has the whole lines stored of a batch that had no turn and no end', async () => {
    await using s = await scene(0, { OVERLOADED_AFTER_MS: '1m' });
    await using raw = await RawSocket.connect(s.address);
    s.log.hold('append');
    raw.write(
      `${STUCK_BY_LINES}${BATCH_HEAD}${chunk('{"data":"2"}\n')}${chunk('{"data":"3"}\n{"data":"4"}')}`,
    );
    await until('both are here', () => s.server.stats.posts === 2);
    raw.reset();
    await until('it is gone', () => s.server.stats.posts < 2);
    s.log.release('append');
    await untilNothingWaits(s);
    assert.equal(await stored(s), '0,1,2,3');
  });

  test('while there is no room for what waits: it is stored as soon as there is', async () => {
    const settings = { PUBLISHER_BUFFER_BYTES: '4kb', IDLE_TIMEOUT_MS: '300ms', HEARTBEAT_MS: '100ms' };
    await using s = await scene(0, { ...settings, OVERLOADED_AFTER_MS: '1m' });
    await using raw = await RawSocket.connect(s.address);
    s.log.hold('append');
    raw.write(`${STUCK_BY_BYTES}${BATCH}${postText('4')}${postText('5')}`);
    await until('all are here', () => s.server.stats.posts === 4);
    // A socket that is not read does not notice that it was reset: the server itself cuts what is idle.
    await until('it is gone', () => s.server.stats.posts < 4);
    s.log.release('append');
    await untilNothingWaits(s);
    assert.equal(await stored(s), '0,1,2,3,4,5');
  });
});
