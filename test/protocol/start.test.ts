import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { MAX_LAST_COUNT, parseStart } from '../../src/protocol/start.ts';

const NOW = Date.UTC(2024, 0, 2, 3, 4, 5, 678);

function timeOf(text: string): number | null {
  const start = parseStart(text, NOW);
  return start?.at === 'time' ? start.ms : null;
}

describe('starts', () => {
  test('latest and earliest are words', () => {
    assert.deepEqual(parseStart('latest', NOW), { at: 'latest' });
    assert.deepEqual(parseStart('earliest', NOW), { at: 'earliest' });
  });

  test('last:N counts entries', () => {
    assert.deepEqual(parseStart('last:0', NOW), { at: 'last', count: 0 });
    assert.deepEqual(parseStart('last:25', NOW), { at: 'last', count: 25 });
    assert.deepEqual(parseStart(`last:${MAX_LAST_COUNT}`, NOW), { at: 'last', count: MAX_LAST_COUNT });
  });

  test('a cursor is a start', () => {
    const cursor = { id: '5-0', epoch: 'e', ordinal: 3 };
    assert.deepEqual(parseStart('5-0@e.3', NOW), { at: 'cursor', cursor });
    assert.equal(parseStart('5-0', NOW)?.at, 'cursor');
  });

  test('a time ago is counted back from now, not below 1970', () => {
    assert.equal(timeOf('-250ms'), NOW - 250);
    assert.equal(timeOf('-30s'), NOW - 30_000);
    assert.equal(timeOf('-5m'), NOW - 300_000);
    assert.equal(timeOf('-2h'), NOW - 7_200_000);
    assert.equal(timeOf('-1d'), NOW - 86_400_000);
    assert.equal(timeOf('-999999999d'), 0);
  });

  test('an ISO time without a zone is UTC', () => {
    const cases: readonly [string, number][] = [
      ['2024-01-02', Date.UTC(2024, 0, 2)],
      ['2024-01-02T03:04', Date.UTC(2024, 0, 2, 3, 4)],
      ['2024-01-02T03:04:05', Date.UTC(2024, 0, 2, 3, 4, 5)],
      ['2024-01-02T03:04:05.678', NOW],
      ['2024-01-02T03:04:05.678Z', NOW],
      ['2024-01-02T04:04:05.678+01:00', NOW],
      ['2024-01-02T04:04:05.678+0100', NOW],
      ['2024-01-01T22:04:05.678-05:00', NOW],
      ['2024-01-02T03:04:05.678999999Z', NOW],
      // What a query string makes of a plus sign.
      ['2024-01-02T04:04:05.678 01:00', NOW],
    ];
    for (const [text, ms] of cases) assert.equal(timeOf(text), ms, text);
  });

  test('anything else is no start', () => {
    const bad = [
      ...[
        '',
        ' ',
        '$',
        '*',
        '0',
        'Latest',
        'LATEST',
        'latest ',
        'now',
        'last',
        'last:',
        'last:-1',
        'last:1.5',
      ],
      ...[
        'last:01',
        'last:1000001',
        'last:99999999',
        'last:x',
        '-5',
        '-5x',
        '5m',
        '-m',
        '--5m',
        '-5m ',
        '-1e3s',
      ],
      ...[
        '-1234567890s',
        '2024',
        '2024-1-2',
        '2024-13-01',
        '2024-01-32',
        '2024-01-02T25:00',
        '20240102',
        'x2024-01-02',
      ],
      ...[
        '2024-01-02T',
        '2024-01-02 03:04',
        '2024-01-02T03:04:05+25:99x',
        '1700000000000',
        '-5-0',
        '1969-12-31',
        '١',
      ],
    ];
    for (const text of bad) assert.equal(parseStart(text, NOW), null, JSON.stringify(text));
  });

  test('a day that its month does not have is no start', () => {
    for (const text of ['2023-02-29', '2024-02-30', '2024-04-31'])
      assert.equal(parseStart(text, NOW), null, text);
    assert.equal(timeOf('2024-02-29'), Date.UTC(2024, 1, 29));
  });

  test('reading never throws, and a time is a number that is not negative', () => {
    const near = fc.string({
      unit: fc.constantFrom(...'0123456789-+:.TZlast msdh'.split('')),
      maxLength: 40,
    });
    const property = fc.property(fc.oneof(fc.string(), near), fc.nat({ max: 2 ** 45 }), (text, nowMs) => {
      const start = parseStart(text, nowMs);
      if (start?.at === 'time') assert.ok(start.ms >= 0 && Number.isFinite(start.ms));
    });
    fc.assert(property, { numRuns: 1000 });
  });

  test('every date of the common form is read exactly', () => {
    const property = fc.property(
      fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }),
      (date) => {
        assert.equal(timeOf(date.toISOString()), date.getTime());
      },
    );
    fc.assert(property);
  });
});
