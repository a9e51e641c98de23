/** Where a log is opened, and where that is refused. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { StartError } from '../../src/errors.ts';
import { openLog, texts } from '../support/redis-log.ts';
import { RedisServer } from '../support/redis-server.ts';

const CHANNEL = 'local-q';

describe('a start is refused', () => {
  test('with a wrong password, none, or a wrong database, in one line without the password', async (t) => {
    await using server = await RedisServer.start('--requirepass', 'right-secret');
    const at = `127.0.0.1:${server.port}`;
    const urls: [string, RegExp][] = [
      [`redis://:wrong-secret@${at}`, /WRONGPASS/],
      [`redis://nobody:wrong-secret@${at}`, /WRONGPASS/],
      [`redis://${at}`, /NOAUTH/],
      [`redis://:right-secret@${at}/99`, /DB index/],
    ];
    for (const [url, reason] of urls) {
      await assert.rejects(openLog(t, url), (error: unknown) => {
        assert.ok(error instanceof StartError);
        assert.match(error.message, reason);
        assert.doesNotMatch(`${error.message} ${error.stack} ${JSON.stringify(error)}`, /secret/);
        assert.equal(error.message.includes('\n'), false);
        return true;
      });
    }
    const log = await openLog(t, `redis://default:right-secret@${at}/3`);
    await log.append(CHANNEL, texts('a'));
    assert.equal(await server.cli('-n', '3', 'XLEN', CHANNEL), '1');
    await log.close();
  });

  test('when the URL is none, without quoting it', async (t) => {
    for (const url of [
      '',
      'nonsense',
      'http://x',
      'redis://',
      'redis://:secret@h/x',
      'redis://%zz:secret@h',
    ]) {
      await assert.rejects(openLog(t, url), (error: unknown) => {
        assert.ok(error instanceof StartError);
        assert.match(error.message, /^REDIS_URL can not be understood/);
        assert.doesNotMatch(`${error.message} ${error.stack}`, /secret/);
        return true;
      });
    }
  });

  test('by a cluster node', async (t) => {
    await using server = await RedisServer.start('--cluster-enabled', 'yes');
    await assert.rejects(openLog(t, server.url), { name: 'StartError', message: /cluster mode/ });
  });

  test('by a server that is too old', async (t) => {
    await using old = await oldRedis();
    await assert.rejects(openLog(t, `redis://127.0.0.1:${old.port}`), {
      name: 'StartError',
      message: /6\.2\.1 is too old/,
    });
  });
});

test('a Unix socket does as well as a port', async (t) => {
  await using server = await RedisServer.start('--unixsocket', 'redis.sock');
  const log = await openLog(t, `${server.dir}/redis.sock?db=2`);
  await log.append(CHANNEL, texts('a'));
  assert.equal(await server.cli('-n', '2', 'XLEN', CHANNEL), '1');
  await log.close();
});

/** Answers every command as Redis 6.2.1 would answer HELLO 3. */
async function oldRedis(): Promise<{ port: number } & AsyncDisposable> {
  const hello =
    '%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n6.2.1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      const commands = bytes.toString().match(/^\*/gm)?.length ?? 0;
      socket.write(hello.repeat(commands));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const dispose = async (): Promise<void> => {
    await new Promise((resolve) => server.close(resolve));
  };
  return { port, [Symbol.asyncDispose]: dispose };
}
