/** The judge of the fuzz run: it takes what a server may say, and nothing that it may not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge } from '../../fuzz/answer.ts';

const PROBLEM = '{"type":"about:blank","title":"x","status":400,"code":"bad_request","detail":"x"}';
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n';
const V1 = SWITCHED.replace('\r\n\r\n', '\r\nSec-WebSocket-Protocol: rivercast.v1\r\n\r\n');

function answer(line: string, headers: readonly string[], body: string): string {
  return [`HTTP/1.1 ${line}`, `Content-Length: ${Buffer.byteLength(body)}`, ...headers, '', body].join(
    '\r\n',
  );
}

function problem(line: string, body: string): string {
  return answer(line, ['Content-Type: application/problem+json'], body);
}

function chunks(type: string, ...parts: readonly string[]): string {
  const body = parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`).join('');
  return `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
}

function framed(head: string, hex: string, payload = ''): Buffer {
  return Buffer.concat([Buffer.from(head), Buffer.from(hex, 'hex'), Buffer.from(payload, 'latin1')]);
}

function faults(bytes: string | Buffer, isEnded = true): readonly string[] {
  return judge(Buffer.from(bytes as string), isEnded, false).faults;
}

describe('is taken:', () => {
  const right: readonly (readonly [name: string, bytes: string | Buffer])[] = [
    ['nothing', ''],
    ['a problem of the table', problem('400 Bad Request', PROBLEM)],
    ['two answers in a row', problem('400 Bad Request', PROBLEM) + answer('204 No Content', [], '')],
    ['a status alone', 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n'],
    ['lines of JSON', `${chunks('application/x-ndjson', '{"id":"1-1"}\n', '{"id":"1-2"}\n')}0\r\n\r\n`],
    ['lines of JSON that stop', chunks('application/x-ndjson', '{"id":"1-1"}\n')],
    ['events', `${chunks('text/event-stream', 'retry: 500\n\nid: 1-1\ndata: x\ndata:\n\n')}0\r\n\r\n`],
    ['a close', framed(SWITCHED, '8802', '\x03\xe8')],
    ['a text and an empty close', framed(SWITCHED, '8101', 'x\x88\x00')],
  ];
  for (const [name, bytes] of right) test(name, () => assert.deepEqual(faults(bytes), []));

  test('an error in v1', () => {
    const text = '{"type":"error","code":"bad_cursor","message":"x","retry":false}';
    assert.deepEqual(faults(framed(V1, `81${text.length.toString(16)}`, text)), []);
  });

  test('what was cut when the client left', () => {
    for (const bytes of [problem('400 Bad Request', PROBLEM), framed(SWITCHED, '8105', 'hello')]) {
      for (let length = 0; length < bytes.length; length += 7) {
        assert.deepEqual(faults(Buffer.from(bytes as string).subarray(0, length), false), []);
      }
    }
  });
});

describe('is a finding:', () => {
  const wrong: readonly (readonly [name: string, bytes: string | Buffer])[] = [
    ['no status line', 'hello\r\n\r\n'],
    ['a status of a server at fault', problem('500 Internal Server Error', PROBLEM)],
    ['another status than its code has', problem('404 Not Found', PROBLEM)],
    ['a code that is in no table', problem('400 Bad Request', PROBLEM.replace('bad_request', 'oops'))],
    ['a code of the prototype', problem('400 Bad Request', PROBLEM.replace('bad_request', 'constructor'))],
    ['a page in place of a problem', answer('404 Not Found', ['Content-Type: text/html'], '<h1>no</h1>')],
    ['a header that the client made', answer('204 No Content', ['X-Injected: 1'], '')],
    ['a header that is none', answer('204 No Content', ['no colon'], '')],
    ['a body that ends too soon', problem('400 Bad Request', PROBLEM).slice(0, -1)],
    ['JSON that is none', answer('200 OK', ['Content-Type: application/json'], '{')],
    ['a line that is none in a stream of events', `${chunks('text/event-stream', 'x\n\n')}0\r\n\r\n`],
    ['a chunk without a size', `${chunks('text/event-stream')}x\r\n`],
    ['bytes behind an answer', `${problem('400 Bad Request', PROBLEM)}x`],
    ['a frame that is masked', framed(SWITCHED, '81810000000078')],
    ['a frame that is cut', framed(SWITCHED, '8105', 'hell')],
    ['a fragment', framed(SWITCHED, '0101', 'x')],
    ['a reserved bit', framed(SWITCHED, 'a101', 'x')],
    ['a compressed ping', framed(SWITCHED, 'c900')],
    ['a reserved opcode', framed(SWITCHED, '8300')],
    ['a text that is no UTF-8', framed(SWITCHED, '8101', '\xff')],
    ['a close with a code that may not be sent', framed(SWITCHED, '8802', '\x03\xed')],
    ['something behind a close', framed(SWITCHED, '8800', '\x81\x00')],
    ['what is no frame of v1', framed(V1, '8102', '{}')],
  ];
  for (const [name, bytes] of wrong) test(name, () => assert.notDeepEqual(faults(bytes), []));

  test('an error in v1 that is the fault of the server, or in no table', () => {
    for (const code of ['internal', 'oops', '__proto__']) {
      const text = `{"type":"error","code":"${code}","message":"x","retry":false}`;
      assert.notDeepEqual(faults(framed(V1, `81${text.length.toString(16)}`, text)), [], code);
    }
  });
});
