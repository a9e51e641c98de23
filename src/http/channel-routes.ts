/** The routes below `/api/channels`, and the answer to whatever else below `/api` is no route. */
import type { FastifyInstance } from 'fastify';
import type { Role } from '../config.ts';
import { type GuardOptions, guard } from './auth/guard.ts';
import { permit } from './auth/permit.ts';
import { type ChannelInfoOptions, sendChannelInfo } from './channels/channel-info.ts';
import { sendChannelList } from './channels/channel-list.ts';
import { type TrimOptions, trim } from './channels/trim.ts';
import type { History } from './history/history.ts';
import { notFound, notHere, sendProblem } from './problem.ts';
import type { Publishing } from './publish/publish.ts';

export interface ChannelRoutesOptions extends GuardOptions, ChannelInfoOptions, TrimOptions {
  readonly role: Role;
  /** Null when this process delivers nothing. */
  readonly history: History | null;
  /** Null when this process takes nothing in. */
  readonly publishing: Publishing | null;
}

type Route = { Params: { channel: string } };

const METHODS = ['GET', 'HEAD'];

export function registerChannels(app: FastifyInstance, options: ChannelRoutesOptions): void {
  const { history, role } = options;
  app.register(
    async (api) => {
      guard(api, options, '/*');
      api.route({
        method: METHODS,
        url: '/channels',
        exposeHeadRoute: false,
        handler: (request, reply) => sendChannelList(options, request, reply),
      });
      api.route<Route>({
        method: METHODS,
        url: '/channels/:channel',
        exposeHeadRoute: false,
        handler: (request, reply) => {
          permit(request, 'subscribe', request.params.channel);
          return sendChannelInfo(options, request.params.channel, reply);
        },
      });
      api.route<Route>({
        method: METHODS,
        url: '/channels/:channel/messages',
        exposeHeadRoute: false,
        handler: async (request, reply) => {
          permit(request, 'subscribe', request.params.channel);
          if (history !== null) return history.answer(request, reply);
          return sendProblem(reply, notHere('no history', role));
        },
      });
      registerPublishing(api, options);
      api.setNotFoundHandler((request, reply) => sendProblem(reply, notFound(request.url)));
    },
    { prefix: '/api' },
  );
}

/** Bodies are read by whoever answers: by then it is known how much may be read, and as what. */
function registerPublishing(api: FastifyInstance, options: ChannelRoutesOptions): void {
  const { publishing, role } = options;
  api.removeAllContentTypeParsers();
  api.addContentTypeParser('*', (_request, _payload, done) => done(null));
  api.post<Route>('/channels/:channel/messages', async (request, reply) => {
    permit(request, 'publish', request.params.channel);
    if (publishing !== null) return publishing.answer(request, reply);
    return sendProblem(reply, notHere('nothing is published', role));
  });
  api.delete<Route>('/channels/:channel/messages', async (request, reply) => {
    permit(request, 'admin', request.params.channel);
    if (publishing !== null) return trim(options, request, reply);
    return sendProblem(reply, notHere('nothing is removed', role));
  });
}
