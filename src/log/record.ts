/**
 * What the embedded log writes to disk, byte by byte. Pure. Numbers are big-endian, so that keys sort as ids do.
 *
 *   entry key       channel u32 | ms u64 | seq u64
 *   entry value     crc u32 | type u8 | ordinal u48 | prev ms u64 | prev seq u64 | data
 *   channel value   crc u32 | channel u32 | epoch 6 bytes | bytes u64 | tip ms, seq, ordinal u64 | trimmed ms, seq, ordinal u64
 *   place key       channel u32 | generation u32 | idempotency key
 *   place value     crc u32 | ms u64 | seq u64
 *   generation      the place key of no idempotency key -> crc u32 | start ms u64 | last ms u64 | count u64
 *
 * The crc covers all that follows it and begins with the entry's id (the channel's name, the place key), so that a value
 * under a wrong key does not pass either.
 */
import { crc32 } from 'node:zlib';
import { type EntryId, type IdParts, idMs, idSeq } from '../protocol/id.ts';
import { ENTRY_TYPES, type EntryType } from './log.ts';

/** A place in a channel: an id, and how many entries were ever added up to it. */
export interface Mark {
  readonly id: EntryId;
  readonly ordinal: number;
}

export interface ChannelRecord {
  readonly number: number;
  readonly epoch: string;
  /** The bytes of all entries kept. */
  readonly bytes: number;
  readonly tip: Mark;
  /** The last entry removed; where it is, the kept entries begin. */
  readonly trimmed: Mark;
}

export const KEY_BYTES = 20;
export const ENTRY_HEADER_BYTES = 27;
const CHANNEL_BYTES = 4 + 4 + 6 + 7 * 8;
const CRC_BYTES = 4;
const PLACE_PREFIX_BYTES = 8;
const U32 = 2 ** 32;

export function writeKey(target: Uint8Array, channel: number, ms: number, seq: number): void {
  writeU32(target, 0, channel);
  writeU64(target, 4, ms);
  writeU64(target, 12, seq);
}

/** The first key a channel's entry after `id` can have. Ids of foreign making may exceed 2^53: none is ours. */
export function writeKeyAfter(target: Uint8Array, channel: number, id: EntryId): void {
  const ms = idMs(id);
  const seq = idSeq(id);
  if (seq < Number.MAX_SAFE_INTEGER) writeKey(target, channel, ms, seq + 1);
  else writeKey(target, channel, ms + 1, 0);
}

export function readKeyMs(key: Uint8Array, start: number): number {
  return readU64(key, start + 4);
}

export function readKeySeq(key: Uint8Array, start: number): number {
  return readU64(key, start + 12);
}

/** Writes the value of an entry into `target`, which is exactly as long as header and data. */
export function writeEntry(
  target: Buffer,
  id: IdParts,
  entry: { readonly type: EntryType; readonly data: Buffer },
  links: { readonly ordinal: number; readonly prev: IdParts },
): void {
  target[4] = ENTRY_TYPES.indexOf(entry.type);
  writeU16(target, 5, Math.floor(links.ordinal / U32));
  writeU32(target, 7, links.ordinal);
  writeU64(target, 11, links.prev.ms);
  writeU64(target, 19, links.prev.seq);
  target.set(entry.data, ENTRY_HEADER_BYTES);
  writeU32(target, 0, crc32(target.subarray(CRC_BYTES), idSeed(id)));
}

/** Whether the value is whole and belongs to `id`. */
export function isWhole(value: Uint8Array, id: IdParts): boolean {
  if (value.length < ENTRY_HEADER_BYTES || ENTRY_TYPES[value[4] as number] === undefined) return false;
  return crc32(value.subarray(CRC_BYTES), idSeed(id)) === readU32(value, 0);
}

export function readType(value: Uint8Array): EntryType {
  return ENTRY_TYPES[value[4] as number] as EntryType;
}

export function readOrdinal(value: Uint8Array): number {
  return ((value[5] as number) * 256 + (value[6] as number)) * U32 + readU32(value, 7);
}

/** The id before the entry; `near`, when it is that one, saves making the string anew. */
export function readPrev(value: Uint8Array, near: IdParts, nearId: EntryId | undefined): EntryId {
  const ms = readU64(value, 11);
  const seq = readU64(value, 19);
  return nearId !== undefined && near.ms === ms && near.seq === seq ? nearId : `${ms}-${seq}`;
}

export function encodeChannel(name: string, channel: ChannelRecord): Buffer {
  const value = Buffer.alloc(CHANNEL_BYTES);
  writeU32(value, 4, channel.number);
  value.write(channel.epoch, 8, 'hex');
  const { tip, trimmed } = channel;
  const numbers = [channel.bytes, idMs(tip.id), idSeq(tip.id), tip.ordinal];
  numbers.push(idMs(trimmed.id), idSeq(trimmed.id), trimmed.ordinal);
  for (const [i, number] of numbers.entries()) writeU64(value, 14 + i * 8, number);
  writeU32(value, 0, crc32(value.subarray(CRC_BYTES), crc32(name)));
  return value;
}

/** The record of the channel, or null when it is damaged. */
export function decodeChannel(name: string, value: Uint8Array): ChannelRecord | null {
  if (value.length !== CHANNEL_BYTES) return null;
  if (crc32(value.subarray(CRC_BYTES), crc32(name)) !== readU32(value, 0)) return null;
  const number = (i: number): number => readU64(value, 14 + i * 8);
  return {
    number: readU32(value, 4),
    epoch: Buffer.from(value.subarray(8, 14)).toString('hex'),
    bytes: number(0),
    tip: { id: `${number(1)}-${number(2)}`, ordinal: number(3) },
    trimmed: { id: `${number(4)}-${number(5)}`, ordinal: number(6) },
  };
}

/** Where the keys of a generation begin: of all of them, and before the first. */
export function generationKey(channel: number, generation: number): Buffer {
  const target = Buffer.allocUnsafe(PLACE_PREFIX_BYTES);
  writeU32(target, 0, channel);
  writeU32(target, 4, generation);
  return target;
}

export function placeKey(channel: number, generation: number, key: string): Buffer {
  const target = Buffer.allocUnsafe(PLACE_PREFIX_BYTES + Buffer.byteLength(key));
  writeU32(target, 0, channel);
  writeU32(target, 4, generation);
  target.write(key, PLACE_PREFIX_BYTES);
  return target;
}

export function encodePlace(key: Uint8Array, id: IdParts): Buffer {
  return encodeNumbers(key, [id.ms, id.seq]);
}

/** The id that the key was stored under, or null when the value is damaged. */
export function decodePlace(key: Uint8Array, value: Uint8Array): EntryId | null {
  const [ms, seq] = decodeNumbers(key, value, 2) ?? [];
  return ms === undefined ? null : `${ms}-${seq}`;
}

/** What is stored of a generation of idempotency keys. */
export interface GenerationRecord {
  readonly number: number;
  readonly startMs: number;
  readonly lastMs: number;
  readonly count: number;
}

export function encodeGeneration(key: Uint8Array, { startMs, lastMs, count }: GenerationRecord): Buffer {
  return encodeNumbers(key, [startMs, lastMs, count]);
}

/**
 * What a place key found at the beginning of a generation tells: whose it is, and the generation's record. That
 * is null when it is gone, which is how its removal begins, or damaged.
 */
export function decodeGeneration(
  key: Uint8Array,
  value: Uint8Array,
): { readonly channel: number; readonly number: number; readonly record: GenerationRecord | null } {
  const channel = readU32(key, 0);
  const number = readU32(key, 4);
  const numbers = key.length === PLACE_PREFIX_BYTES ? decodeNumbers(key, value, 3) : null;
  if (numbers === null) return { channel, number, record: null };
  const [startMs = 0, lastMs = 0, count = 0] = numbers;
  return { channel, number, record: { number, startMs, lastMs, count } };
}

function encodeNumbers(key: Uint8Array, numbers: readonly number[]): Buffer {
  const value = Buffer.allocUnsafe(CRC_BYTES + numbers.length * 8);
  for (let i = 0; i < numbers.length; i++) writeU64(value, CRC_BYTES + i * 8, numbers[i] as number);
  writeU32(value, 0, crc32(value.subarray(CRC_BYTES), crc32(key)));
  return value;
}

function decodeNumbers(key: Uint8Array, value: Uint8Array, count: number): number[] | null {
  if (value.length !== CRC_BYTES + count * 8) return null;
  if (crc32(value.subarray(CRC_BYTES), crc32(key)) !== readU32(value, 0)) return null;
  return Array.from({ length: count }, (_, i) => readU64(value, CRC_BYTES + i * 8));
}

/** Any mixture will do that differs between neighbours. */
function idSeed(id: IdParts): number {
  return (Math.imul(id.seq | 0, 0x9e3779b1) ^ (id.ms | 0)) >>> 0;
}

function writeU16(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 8;
  target[at + 1] = value;
}

function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

function writeU64(target: Uint8Array, at: number, value: number): void {
  writeU32(target, at, Math.floor(value / U32));
  writeU32(target, at + 4, value);
}

function readU32(source: Uint8Array, at: number): number {
  const low =
    ((source[at + 1] as number) << 16) | ((source[at + 2] as number) << 8) | (source[at + 3] as number);
  return (source[at] as number) * 0x1000000 + low;
}

function readU64(source: Uint8Array, at: number): number {
  return readU32(source, at) * U32 + readU32(source, at + 4);
}
