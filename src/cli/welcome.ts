/** What a started server says: a block to try it with on a terminal, one structured line elsewhere. */

import { isLoopback, redactUrl } from '../config/values.ts';
import type { Config } from '../config.ts';
import type { Logger } from '../logger.ts';
import { VERSION } from '../version.ts';

interface Doors {
  readonly base: string;
  readonly publish: string | null;
  readonly subscribe: string | null;
}

export function announce(config: Config, addresses: readonly string[], logger: Logger): void {
  warnIfAnybodyMayCome(config, logger);
  if (process.stdout.isTTY) {
    process.stdout.write(welcome(config, addresses));
    return;
  }
  const { publish, subscribe } = doors(config, addresses);
  const { store } = config.log;
  logger.info(
    {
      version: VERSION,
      role: config.role,
      auth: config.auth.mode,
      addresses,
      publish,
      subscribe,
      store,
      where: where(config),
    },
    'started',
  );
}

function warnIfAnybodyMayCome({ auth, http }: Config, logger: Logger): void {
  if (isLoopback(http.host) || auth.mode === 'required') return;
  const who = auth.mode === 'off' ? 'publish and subscribe' : 'subscribe';
  logger.warn({ host: http.host }, `anybody who reaches this server may ${who}: no token is asked for`);
}

export function welcome(config: Config, addresses: readonly string[]): string {
  const { base, publish, subscribe } = doors(config, addresses);
  const tries = [subscribe, publish].filter((url) => url !== null);
  const lines = [
    `Rivercast ${VERSION} is running. ${where(config)}`,
    '',
    ...(publish === null ? [] : [`  publish    ${publish}`]),
    ...(subscribe === null ? [] : [`  subscribe  ${subscribe}`]),
    ...(config.http.console ? [`  console    ${base}`] : []),
    '',
    tries.length > 1 ? 'Try it in two terminals:' : 'Try it:',
    ...tries.map((url) => `  npx wscat -c ${url}`),
    '',
    `Or at the prompt of a browser's developer tools (F12), on ${base}:`,
    ...(subscribe === null
      ? []
      : [`  new WebSocket('${subscribe}').onmessage = (event) => console.log(event.data)`]),
    ...(publish === null
      ? []
      : [
          `  const publisher = new WebSocket('${publish}')`,
          `  publisher.onopen = () => publisher.send('Hello')`,
        ]),
    '',
    'Ctrl-C stops it.',
    '',
  ];
  return `\n${lines.map((line) => (line === '' ? '' : `  ${line}`)).join('\n')}\n`;
}

function doors(config: Config, addresses: readonly string[]): Doors {
  const base = reachable(addresses[0] ?? 'http://127.0.0.1');
  const socket = base.replace(/^http/, 'ws');
  return {
    base,
    publish: config.role === 'broadcaster' ? null : `${socket}/ws/manager`,
    subscribe: config.role === 'manager' ? null : `${socket}/ws/broadcast`,
  };
}

/** A wildcard address is listened on, but cannot be connected to everywhere. */
function reachable(address: string): string {
  return address.replace('//0.0.0.0', '//127.0.0.1').replace('//[::]', '//[::1]');
}

function where(config: Config): string {
  const { store, redisUrl, stream, dataDir } = config.log;
  switch (store) {
    case 'memory':
      return 'Messages are kept in memory only: nothing outlives this process.';
    case 'embedded':
      return `Messages are kept in ${dataDir}.`;
    case 'redis':
      return `Messages are kept in Redis at ${redactUrl(redisUrl ?? '')}, stream ${stream}.`;
  }
}
