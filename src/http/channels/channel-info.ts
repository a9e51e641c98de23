/** `GET /api/channels/:channel`: what a channel holds, and how many follow it here. */
import type { FastifyReply } from 'fastify';
import type { Log } from '../../log/log.ts';
import { sendProblem } from '../problem.ts';
import { pathChannelOf } from '../request.ts';

export interface ChannelInfoOptions {
  readonly log: Log;
  /** The subscribers of a channel in this process. */
  readonly subscribersOf: (channel: string) => number;
}

/** Asking creates nothing: an unknown channel has no epoch, no floor, and the tip `0-0`. */
export async function sendChannelInfo(
  { log, subscribersOf }: ChannelInfoOptions,
  name: string,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const asked = pathChannelOf(name);
  if ('refused' in asked) return sendProblem(reply, asked.refused);
  const channel = asked.ok;
  const { epoch, floor, tip, length } = await log.bounds(channel);
  const info = { channel, epoch, floor, tip, length, subscribers: subscribersOf(channel) };
  return reply.header('Cache-Control', 'no-store').send(info);
}
