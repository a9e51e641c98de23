/** `GET /api/channels`: of the channels that the log keeps those that one may subscribe to, page by page. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CHANNEL_RULE, isChannelsPattern } from '../../channels.ts';
import { grantOf } from '../auth/permit.ts';
import { sendProblem } from '../problem.ts';
import { type Asked, limitOf, refuse, targetOf } from '../request.ts';
import type { ChannelInfoOptions } from './channel-info.ts';

const MAX_LIMIT = 1000;

interface ListAsk {
  readonly after: string | null;
  readonly limit: number;
}

/** Rejects as `Log.channels` does. */
export async function sendChannelList(
  { log, subscribersOf }: ChannelInfoOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const asked = readListAsk(targetOf(request.raw).query);
  if ('refused' in asked) return sendProblem(reply, asked.refused);
  const { channels, cursor } = await log.channels(asked.ok);
  const { subscribe } = grantOf(request);
  const described = channels
    .filter(({ channel }) => subscribe.has(channel))
    .map(({ channel, epoch, floor, tip, length }) => {
      return { channel, epoch, floor, tip, length, subscribers: subscribersOf(channel) };
    });
  return reply.header('Cache-Control', 'no-store').send({ channels: described, cursor });
}

function readListAsk(query: URLSearchParams): Asked<ListAsk> {
  const afters = query.getAll('after');
  const after = afters[0] ?? null;
  if (afters.length > 1 || (after !== null && !isPlace(after))) {
    return refuse('bad_channel', `after= must be a channel: ${CHANNEL_RULE}`);
  }
  const limit = limitOf(query, { max: MAX_LIMIT, rule: `1 to ${MAX_LIMIT}` });
  return 'refused' in limit ? limit : { ok: { after, limit: limit.ok } };
}

/** In the order of names. A page may end with a channel of an older version, whose name is none today (`.`). */
function isPlace(after: string): boolean {
  return after !== '' && isChannelsPattern(`${after}*`);
}
