/** `DELETE /api/channels/:channel/messages?before=`: removes what a channel holds before a place. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../clock.ts';
import type { Log } from '../../log/log.ts';
import { type EntryId, idAfter } from '../../protocol/id.ts';
import { START_FORMS, type Start } from '../../protocol/start.ts';
import { lastBefore } from '../history/read.ts';
import { sendProblem } from '../problem.ts';
import { type Asked, pathChannelOf, placeOf, refuse, targetOf } from '../request.ts';

export interface TrimOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Is told how many entries went. */
  readonly onTrimmed?: (removed: number) => void;
}

type Route = { Params: { channel: string } };

interface TrimAsk {
  readonly channel: string;
  readonly before: Start;
}

/** What a history is asked for by; whoever gives it here thinks of a range, and would lose more than that. */
const NOT_HERE = ['after', 'limit', 'on_gap'];

/** Rejects with RivercastError `log_unavailable` when the log does not answer. */
export async function trim(
  { log, clock, onTrimmed }: TrimOptions,
  request: FastifyRequest<Route>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const asked = readTrimAsk(request.params.channel, targetOf(request.raw).query, clock.now());
  if ('refused' in asked) return sendProblem(reply, asked.refused);
  const { channel, before } = asked.ok;
  const { epoch, tip } = await log.bounds(channel);
  if (before.at === 'cursor' && before.cursor.epoch !== null && before.cursor.epoch !== epoch) {
    const detail =
      'the cursor belongs to another history of this channel; give an id alone to mean it all the same';
    return sendProblem(reply, { code: 'bad_cursor', detail });
  }
  const last: EntryId = (await lastBefore(log, channel, before)) ?? tip;
  const removed = await log.trim(channel, { before: idAfter(last) });
  onTrimmed?.(removed);
  const { floor, tip: tipNow } = await log.bounds(channel);
  return reply.header('Cache-Control', 'no-store').send({ removed, floor, tip: tipNow });
}

function readTrimAsk(channel: string, query: URLSearchParams, nowMs: number): Asked<TrimAsk> {
  const name = pathChannelOf(channel);
  if ('refused' in name) return name;
  const other = NOT_HERE.find((parameter) => query.has(parameter));
  if (other !== undefined) {
    return refuse('bad_request', `${other}= is not understood here: everything before before= is removed`);
  }
  const before = placeOf(query, 'before', nowMs);
  if ('refused' in before) return before;
  if (before.ok !== null) return { ok: { channel: name.ok, before: before.ok } };
  return refuse('bad_cursor', `before= must say up to where to remove: ${START_FORMS}`);
}
