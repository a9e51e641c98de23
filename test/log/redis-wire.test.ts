import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { errorIn, ReplyReader } from '../../src/log/redis/connection/reply.ts';
import { Wire } from '../../src/log/redis/connection/wire.ts';
import { decodeEntries, decodeStreams } from '../../src/log/redis/entries.ts';

/** A socket whose far end is the test. */
class Far extends Duplex {
  readonly sent: Buffer[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.sent.push(chunk);
    done();
  }
}

const REPLIES: [string, unknown][] = [
  ['+OK\r\n', 'OK'],
  [':-42\r\n', -42],
  ['$5\r\na\r\nb!\r\n', 'a\r\nb!'],
  ['$0\r\n\r\n', ''],
  ['$-1\r\n', null],
  ['*-1\r\n', null],
  ['_\r\n', null],
  ['*0\r\n', []],
  ['%1\r\n$1\r\nk\r\n*2\r\n:1\r\n$-1\r\n', ['k', [1, null]]],
  ['*3\r\n*0\r\n*1\r\n*1\r\n+x\r\n$2\r\n\r\n\r\n', [[], [['x']], '\r\n']],
];

test('replies are told apart however their bytes arrive', async () => {
  const bytes = Buffer.from(REPLIES.map(([text]) => text).join(''));
  for (let size = 1; size <= bytes.length; size++) {
    const far = new Far();
    const wire = new Wire(far);
    const answered = wire.send(REPLIES.map(() => ['PING']));
    far.push(Buffer.from('>2\r\n+invalidate\r\n$-1\r\n'));
    for (let at = 0; at < bytes.length; at += size) far.push(bytes.subarray(at, at + size));
    const values = (await answered).map((reply) => plain(new ReplyReader(reply).value()));
    assert.deepEqual(
      values,
      REPLIES.map(([, value]) => value),
    );
    far.destroy();
  }
});

test('commands carry text, bytes and nothing at all', async () => {
  const far = new Far();
  const wire = new Wire(far);
  const answered = wire.send([
    ['SET', 'ключ', Buffer.from([0, 13, 10, 255])],
    ['GET', ''],
  ]);
  far.push('+OK\r\n');
  far.push('$-1\r\n');
  assert.equal((await answered).length, 2);
  const expected = Buffer.concat([
    Buffer.from('*3\r\n$3\r\nSET\r\n$8\r\nключ\r\n$4\r\n'),
    Buffer.from([0, 13, 10, 255]),
    Buffer.from('\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n'),
  ]);
  assert.deepEqual(Buffer.concat(far.sent), expected);
  far.destroy();
});

test('an error is what Redis said, and a lost connection rejects all that wait', async () => {
  assert.equal(errorIn(Buffer.from('-WRONGTYPE not a stream\r\n')), 'WRONGTYPE not a stream');
  assert.equal(errorIn(Buffer.from('!7\r\nOOM now\r\n')), 'OOM now');
  assert.equal(errorIn(Buffer.from('+OK\r\n')), null);
  const far = new Far();
  const wire = new Wire(far);
  const all = [wire.send([['A']]), wire.send([['B'], ['C']])];
  far.push('+OK\r\n+half\r\n');
  await all[0];
  far.destroy();
  await assert.rejects(all[1] as Promise<unknown>, /closed/);
  await assert.rejects(wire.send([['D']]), /closed/);
});

test('entries are ours only when their chain can be true', () => {
  const entry = (id: string, ...fields: string[]): string => {
    const strings = fields.map((field) => `$${Buffer.byteLength(field)}\r\n${field}\r\n`);
    return `*2\r\n$${id.length}\r\n${id}\r\n*${fields.length}\r\n${strings.join('')}`;
  };
  const entries = [
    entry('5-0', 'data', 'ours', 'p', '4-9', 'n', '7'),
    entry('5-1', 'data', '{}', 'type', 'json', 'p', '5-0', 'n', '8'),
    entry('5-2', 'data', 'later p', 'p', '5-2', 'n', '9'),
    entry('5-3', 'data', 'no p', 'n', '9'),
    entry('5-4', 'data', 'no n', 'p', '5-3'),
    entry('5-5', 'data', 'odd n', 'p', '5-4', 'n', '1e400'),
    entry('5-6', 'p', '5-5', 'n', '3'),
    entry('5-7'),
  ];
  const reply = Buffer.from(`*${entries.length}\r\n${entries.join('')}`);
  const decoded = decodeEntries(reply).map(({ data, prev, ordinal }) => [data.toString(), prev, ordinal]);
  assert.deepEqual(decoded, [
    ['ours', '4-9', 7],
    ['{}', '5-0', 8],
    ['later p', null, null],
    ['no p', null, null],
    ['no n', null, null],
    ['odd n', null, null],
    ['5-5', null, null],
    ['', null, null],
  ]);
  for (const head of ['*1\r\n*2\r\n', '%1\r\n']) {
    const streams = decodeStreams(Buffer.concat([Buffer.from(`${head}$1\r\nk\r\n`), reply]));
    assert.equal(streams.get('k')?.length, entries.length);
  }
  assert.equal(decodeStreams(Buffer.from('_\r\n')).size, 0);
  assert.equal(decodeStreams(Buffer.from('*-1\r\n')).size, 0);
});

function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString();
  return Array.isArray(value) ? value.map(plain) : value;
}
