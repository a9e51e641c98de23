/**
 * An entry as one JSON object, the same in `rivercast.v1` frames and in the history over HTTP:
 *
 *   text     {"id":"…","data":"<its characters>"}
 *   json     {"id":"…","data":<its JSON, byte for byte>}
 *   binary   {"id":"…","data64":"<base64>"}
 *
 * The type is not told: a text entry is the one whose `data` is a string. (A json entry that is a JSON string
 * looks the same; its reader wants the same characters.)
 */
import type { EntryId } from './id.ts';

type MessageType = 'text' | 'json' | 'binary';

/** A json entry has been checked to be JSON, and text to be UTF-8, by whoever let it in. */
export function messageJson(id: EntryId, type: MessageType, data: Buffer): string {
  switch (type) {
    case 'text':
      return `{"id":"${id}","data":${JSON.stringify(data.toString())}}`;
    case 'json':
      return `{"id":"${id}","data":${data.toString()}}`;
    case 'binary':
      return `{"id":"${id}","data64":"${data.toString('base64')}"}`;
  }
}
