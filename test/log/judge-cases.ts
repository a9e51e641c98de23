/** Situations for the rules of judge.ts, and what each has to come to. */
import assert from 'node:assert/strict';
import type { Look } from '../../src/log/judge.ts';
import type { Entry, GapReason } from '../../src/log/log.ts';
import { type Cursor, parseCursor } from '../../src/protocol/cursor.ts';

/** `<id> after <prev> #<ordinal>`; `<id> foreign #<ordinal>` for an entry that someone else wrote. */
export function entry(text: string): Entry {
  const [, id = '', prev = null, ordinal = null] =
    /^(\S+) (?:after (\S+)|foreign)(?: #(\d+))?$/.exec(text) ?? assert.fail(text);
  return {
    id,
    type: 'text',
    data: Buffer.alloc(0),
    prev,
    ordinal: ordinal === null ? null : Number(ordinal),
  };
}

export function cursor(text: string): Cursor {
  return parseCursor(text) ?? assert.fail(text);
}

/** Six entries 1-0 to 6-0 were added to the channel of epoch e; nothing was removed. */
const WHOLE: Look = {
  epoch: 'e',
  from: '0-0',
  prior: [],
  tip: '6-0',
  tipOrdinal: 6,
  length: 6,
  floor: '1-0',
  cursorKept: true,
  cursorOrdinal: null,
  maxDeleted: '0-0',
};
/** Of those, 1-0 to 3-0 were trimmed. */
const TRIMMED: Look = { ...WHOLE, length: 3, floor: '4-0', cursorKept: false };
const EMPTIED: Look = { ...WHOLE, length: 0, floor: null, cursorKept: false };
const UNKNOWN: Look = { ...WHOLE, epoch: null, tip: '0-0', tipOrdinal: 0, length: 0, floor: null };

interface Told {
  readonly before: number;
  readonly reason: GapReason;
  readonly lost: number | null;
  readonly resumeAt: string;
}

interface Case {
  readonly name: string;
  readonly after: string;
  readonly look: Look;
  readonly found: readonly string[];
  /** The ids delivered; all found when absent. */
  readonly delivered?: readonly string[];
  readonly gaps: readonly Told[];
  readonly end: string;
}

function gap(reason: GapReason, lost: number | null, resumeAt: string, before = 0): Told {
  return { before, reason, lost, resumeAt };
}

export const CASES: readonly Case[] = [
  // Rule 3, gapless.
  {
    name: 'the next entry follows the cursor',
    after: '3-0@e.3',
    look: WHOLE,
    found: ['4-0 after 3-0 #4'],
    gaps: [],
    end: '4-0@e.4',
  },
  {
    name: 'a plain id is as good',
    after: '3-0',
    look: WHOLE,
    found: ['4-0 after 3-0 #4'],
    gaps: [],
    end: '4-0@e.4',
  },
  {
    name: '0-0 before the first entry ever',
    after: '0-0',
    look: WHOLE,
    found: ['1-0 after 0-0 #1'],
    gaps: [],
    end: '1-0@e.1',
  },
  {
    name: 'the last entry trimmed, then the first kept',
    after: '3-0@e.3',
    look: TRIMMED,
    found: ['4-0 after 3-0 #4'],
    gaps: [],
    end: '4-0@e.4',
  },
  {
    name: 'the tip ends with its own ordinal, also when the entry has none',
    after: '5-0@e.5',
    look: WHOLE,
    found: ['6-0 after 5-0'],
    gaps: [],
    end: '6-0@e.6',
  },
  // Rule 3, trimmed.
  {
    name: 'entries before the next one were trimmed',
    after: '1-0@e.1',
    look: TRIMMED,
    found: ['4-0 after 3-0 #4', '5-0 after 4-0 #5'],
    gaps: [gap('trimmed', 2, '3-0@e.3')],
    end: '5-0@e.5',
  },
  {
    name: 'a plain id below the floor can not be counted',
    after: '1-0',
    look: TRIMMED,
    found: ['4-0 after 3-0 #4'],
    gaps: [gap('trimmed', null, '3-0@e.3')],
    end: '4-0@e.4',
  },
  {
    name: '0-0 below the floor can',
    after: '0-0',
    look: TRIMMED,
    found: ['4-0 after 3-0 #4'],
    gaps: [gap('trimmed', 3, '3-0@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'an entry after a kept cursor was deleted',
    after: '2-0@e.2',
    look: { ...WHOLE, length: 5 },
    found: ['4-0 after 3-0 #4'],
    gaps: [gap('deleted', 1, '3-0@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'an entry after a kept plain id was deleted: the entry itself knows how many there were',
    after: '2-0',
    look: { ...WHOLE, length: 5, cursorOrdinal: 2 },
    found: ['4-0 after 3-0 #4'],
    gaps: [gap('deleted', 1, '3-0@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'an ordinal that can not be true is not counted with',
    after: '1-0@e.99',
    look: TRIMMED,
    found: ['4-0 after 3-0 #4'],
    gaps: [gap('trimmed', null, '3-0@e.3')],
    end: '4-0@e.4',
  },
  // Rule 3, reset: the cursor is none of this history's ids.
  {
    name: 'the next entry follows something before the cursor',
    after: '3-5',
    look: { ...WHOLE, cursorKept: false },
    found: ['4-0 after 3-0 #4'],
    gaps: [gap('reset', null, '3-0@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'the next entry claims to follow something before the cursor, whose entry is still there',
    after: '3-0@e.3',
    look: WHOLE,
    found: ['4-0 after 1-0 #4'],
    gaps: [],
    end: '4-0@e.4',
  },
  // Rule 1.
  {
    name: 'another epoch starts from where this one began',
    after: '3-0@other.3',
    look: WHOLE,
    found: ['4-0 after 3-0 #4'],
    delivered: [],
    gaps: [gap('reset', null, '0-0@e')],
    end: '0-0@e',
  },
  {
    name: 'another epoch, and the cursor lies before where this one began',
    after: '3-0@other.3',
    look: { ...WHOLE, from: '3-5' },
    found: ['4-0 after 3-5 #4'],
    gaps: [gap('reset', null, '3-5@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'another epoch that this one goes on from, and the entry came before anybody noticed',
    after: '5-0@other.5',
    look: { ...WHOLE, from: '3-0', prior: ['first', 'other'], cursorOrdinal: 5 },
    found: ['6-0 after 5-0 #6'],
    gaps: [gap('reset', null, '5-0@e.5')],
    end: '6-0@e.6',
  },
  {
    name: 'another epoch from a cursor ahead of the tip',
    after: '9-0@other',
    look: WHOLE,
    found: [],
    gaps: [gap('reset', null, '0-0@e')],
    end: '0-0@e',
  },
  {
    name: 'another epoch, before where this one began, and a foreign entry comes next',
    after: '3-0@other.3',
    look: { ...WHOLE, from: '3-5', cursorKept: false },
    found: ['4-0 foreign #4'],
    gaps: [gap('reset', null, '3-18446744073709551615@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'another epoch, before where this one began, and nothing comes next',
    after: '3-0@other.3',
    look: { ...EMPTIED, from: '3-5' },
    found: [],
    gaps: [gap('reset', null, '6-0@e.6')],
    end: '6-0@e.6',
  },
  {
    name: 'another epoch of an unknown channel',
    after: '9-0@other.4',
    look: UNKNOWN,
    found: [],
    gaps: [gap('reset', null, '0-0')],
    end: '0-0',
  },
  // Rule 2.
  {
    name: 'the tip lies before the cursor',
    after: '9-0@e.9',
    look: WHOLE,
    found: [],
    gaps: [gap('reset', null, '6-0@e.6')],
    end: '6-0@e.6',
  },
  {
    name: 'the tip of an unknown channel lies before any cursor',
    after: '9-0',
    look: UNKNOWN,
    found: [],
    gaps: [gap('reset', null, '0-0')],
    end: '0-0',
  },
  {
    name: 'ids are compared as numbers of 64 bits',
    after: '18446744073709551615-1',
    look: WHOLE,
    found: [],
    gaps: [gap('reset', null, '6-0@e.6')],
    end: '6-0@e.6',
  },
  // Rule 4.
  {
    name: 'a foreign entry after a kept cursor',
    after: '3-0@e.3',
    look: { ...WHOLE, length: 5 },
    found: ['4-0 foreign'],
    gaps: [],
    end: '4-0@e',
  },
  {
    name: 'the first entry ever, a foreign one, after 0-0',
    after: '0-0',
    look: { ...WHOLE, cursorKept: false },
    found: ['1-0 foreign #1'],
    gaps: [],
    end: '1-0@e.1',
  },
  {
    name: 'a foreign entry after a cursor that is gone, but whose ordinal meets',
    after: '3-0@e.3',
    look: { ...TRIMMED, floor: '5-0', length: 2 },
    found: ['5-0 foreign #4'],
    gaps: [],
    end: '5-0@e.4',
  },
  {
    name: 'a foreign entry after a cursor of unknown ordinal that is gone, in a channel made anew',
    after: '3-0',
    look: { ...WHOLE, epoch: null, floor: '4-0', tip: '5-0', tipOrdinal: 2, length: 2, cursorKept: false },
    found: ['4-0 foreign #1', '5-0 foreign #2'],
    gaps: [gap('trimmed', null, '3-18446744073709551615')],
    end: '5-0',
  },
  {
    name: 'a foreign entry after an id that was never given',
    after: '3-5',
    look: { ...WHOLE, cursorKept: false },
    found: ['4-0 foreign #4'],
    gaps: [gap('deleted', null, '3-18446744073709551615@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'a foreign entry after a kept cursor, one between them deleted, by the ordinals',
    after: '2-0@e.2',
    look: { ...WHOLE, length: 5, maxDeleted: '3-0' },
    found: ['4-0 foreign #4'],
    gaps: [gap('deleted', 1, '3-18446744073709551615@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'a foreign entry after a kept cursor, the last deletion between them',
    after: '2-0',
    look: { ...WHOLE, length: 5, maxDeleted: '3-0' },
    found: ['4-0 foreign #4'],
    gaps: [gap('deleted', null, '3-18446744073709551615@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'a foreign entry that counts on from before the cursor, which is gone',
    after: '3-0@e.5',
    look: { ...WHOLE, cursorKept: false },
    found: ['4-0 foreign #4'],
    gaps: [gap('reset', null, '3-18446744073709551615@e.3')],
    end: '4-0@e.4',
  },
  {
    name: 'a foreign entry after a cursor that is gone',
    after: '2-0@e.2',
    look: TRIMMED,
    found: ['4-0 foreign', '5-0 after 4-0 #5'],
    gaps: [gap('trimmed', null, '3-18446744073709551615@e')],
    end: '5-0@e.5',
  },
  {
    name: 'a foreign entry among kept ones whose cursor was deleted',
    after: '2-0@e.2',
    look: { ...WHOLE, length: 5, cursorKept: false },
    found: ['4-0 foreign'],
    gaps: [gap('deleted', null, '3-18446744073709551615@e')],
    end: '4-0@e',
  },
  // Rule 5.
  { name: 'nothing new', after: '6-0@e.6', look: WHOLE, found: [], gaps: [], end: '6-0@e.6' },
  { name: 'nothing new after a plain id', after: '6-0', look: WHOLE, found: [], gaps: [], end: '6-0@e.6' },
  { name: 'nothing new in an unknown channel', after: '0-0', look: UNKNOWN, found: [], gaps: [], end: '0-0' },
  {
    name: 'everything after the cursor was trimmed',
    after: '2-0@e.2',
    look: EMPTIED,
    found: [],
    gaps: [gap('trimmed', 4, '6-0@e.6')],
    end: '6-0@e.6',
  },
  {
    name: 'everything after the cursor was deleted, entries before it are kept',
    after: '2-0@e.2',
    look: { ...WHOLE, length: 2 },
    found: [],
    gaps: [gap('deleted', 4, '6-0@e.6')],
    end: '6-0@e.6',
  },
  // Within a page.
  {
    name: 'entries deleted inside the page',
    after: '1-0@e.1',
    look: { ...WHOLE, length: 4 },
    found: ['2-0 after 1-0 #2', '5-0 after 4-0 #5', '6-0 after 5-0 #6'],
    gaps: [gap('deleted', 2, '4-0@e.4', 1)],
    end: '6-0@e.6',
  },
  {
    name: 'two holes in one page, and a gap before it',
    after: '0-0',
    look: { ...WHOLE, length: 3, floor: '2-0' },
    found: ['2-0 after 1-0 #2', '4-0 after 3-0 #4', '6-0 after 5-0 #6'],
    gaps: [gap('trimmed', 1, '1-0@e.1'), gap('deleted', 1, '3-0@e.3', 1), gap('deleted', 1, '5-0@e.5', 2)],
    end: '6-0@e.6',
  },
  {
    name: 'foreign entries inside the page',
    after: '1-0@e.1',
    look: WHOLE,
    found: ['2-0 foreign', '3-0 foreign', '4-0 after 3-0 #4'],
    gaps: [],
    end: '4-0@e.4',
  },
  {
    name: 'entries deleted between foreign ones, counted by the ordinals',
    after: '1-0@e.1',
    look: { ...WHOLE, length: 4, maxDeleted: '4-0' },
    found: ['2-0 foreign #2', '5-0 foreign #5'],
    gaps: [gap('deleted', 2, '4-18446744073709551615@e.4', 1)],
    end: '5-0@e.5',
  },
  {
    name: 'the last deletion lay between foreign ones',
    after: '1-0@e.1',
    look: { ...WHOLE, length: 4, maxDeleted: '4-0' },
    found: ['2-0 foreign', '5-0 foreign #5'],
    gaps: [gap('deleted', null, '4-18446744073709551615@e.4', 1)],
    end: '5-0@e.5',
  },
  {
    name: 'an entry deleted after a foreign one can not be counted',
    after: '1-0@e.1',
    look: WHOLE,
    found: ['2-0 foreign', '4-0 after 3-0 #4'],
    gaps: [gap('deleted', null, '3-0@e.3', 1)],
    end: '4-0@e.4',
  },
  {
    name: 'an entry that claims to follow an earlier one',
    after: '1-0@e.1',
    look: WHOLE,
    found: ['2-0 after 1-0 #2', '4-0 after 1-5 #3'],
    gaps: [gap('reset', null, '2-0@e', 1)],
    end: '4-0@e.3',
  },
];
