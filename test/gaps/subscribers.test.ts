/** What a connected subscriber sees when Redis loses the history under it, through the whole server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';
import { TestServer } from '../support/running-server.ts';
import { cursorOf } from '../support/websocket-client.ts';
import { within } from '../support/within.ts';

for (const command of [['DEL', 'local-q'], ['FLUSHALL'], ['XSETID', 'local-q', '9-9']]) {
  test(`a raw subscriber is closed with 4410 by ${command[0]}, and its cursor goes on with what came after`, async (t) => {
    await using redis = await RedisServer.start();
    const log = await openLog(t, redis.url, { deadlines: { checkMs: 100 } });
    await using server = await TestServer.start({}, log);
    await using publisher = await server.publisher();
    await using client = await server.subscriber('?after=earliest');
    await using skipping = await server.subscriber('?after=earliest&on_gap=skip');
    for (const text of ['a', 'b']) publisher.send(text);
    assert.deepEqual(await client.texts(2), ['a', 'b']);
    assert.deepEqual(await skipping.texts(2), ['a', 'b']);
    // XSETID refuses an id below an entry that is there.
    if (command[0] === 'XSETID') await redis.cli('XTRIM', 'local-q', 'MAXLEN', '0');
    await redis.cli(...command);
    const closed = await within('the close', client.closed);
    assert.equal(closed.code, 4410);
    publisher.send('c');
    await using resumed = await server.subscriber(`?after=${encodeURIComponent(cursorOf(closed))}`);
    assert.equal(await resumed.text(), 'c');
    assert.equal(await skipping.text(), 'c');
  });
}
