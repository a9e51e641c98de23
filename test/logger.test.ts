import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, type Logger, type LoggerOptions } from '../src/logger.ts';

function capture(level: LoggerOptions['level'] = 'trace'): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const logger = createLogger({ level, stream: { write: (line: string) => void lines.push(line) } });
  return { logger, lines };
}

test('a line is a JSON object with a readable level and time', () => {
  const { logger, lines } = capture();
  logger.warn({ channel: 'a' }, 'behind');
  const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  assert.equal(line['level'], 'warn');
  assert.equal(line['msg'], 'behind');
  assert.equal(line['channel'], 'a');
  assert.match(String(line['time']), /^\d{4}-\d\d-\d\dT/);
});

test('less severe lines are not written', () => {
  const { logger, lines } = capture('error');
  logger.warn('no');
  logger.error('yes');
  assert.equal(lines.length, 1);
});

test('secrets do not reach a line, wherever they are', () => {
  const { logger, lines } = capture();
  const refused = Object.assign(
    new Error('WRONGPASS for redis://:s3cret@h', { cause: new Error('?token=s3cret') }),
    {
      code: 'WRONGPASS',
      command: { name: 'auth', args: ['s3cret'] },
    },
  );
  logger.error({ err: refused }, 'redis://u:s3cret@h does not answer');
  logger.error(refused);
  logger.info({ url: '/ws/broadcast?token=s3cret&after=1-0', password: 's3cret', a: { token: 's3cret' } });
  logger.info({ req: { headers: { authorization: 's3cret', cookie: 's3cret' } } });
  assert.equal(lines.length, 4);
  assert.doesNotMatch(lines.join(''), /s3cret/);
  assert.match(lines[0] ?? '', /"code":"WRONGPASS".*"cause":\{"type":"Error"/);
  assert.match(lines[2] ?? '', /after=1-0/);
});

test('an error that causes itself is written once', () => {
  const { logger, lines } = capture();
  const error = new Error('round');
  error.cause = error;
  logger.error({ err: error });
  logger.error({ err: 'only a text' });
  assert.match(lines[0] ?? '', /round/);
  assert.match(lines[1] ?? '', /only a text/);
});
