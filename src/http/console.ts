/**
 * `GET /`: the console for a browser, a text for everybody else. The console is a few static files, made by the build
 * (console/) and read once: the page is asked for anew each time, everything else is named by its content and kept by
 * browsers for good. They are open to all, for they hold nothing: what the page shows it asks the API for.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { prefixOf } from './listen/prefix.ts';
import { CONSOLE_HEADERS } from './security-headers.ts';

const FOLDER = fileURLToPath(new URL('../console/', import.meta.url));
const PAGE = 'index.html';
const ASSETS = 'console';
/** Where the page is told the name of the default channel. */
const CHANNEL_PLACE = '%RIVERCAST_CHANNEL%';
/** And below which path it is. */
const PREFIX_PLACE = '%RIVERCAST_PREFIX%';

/** A router may have a prefix for each of its users. */
const MAX_PAGES = 100;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

interface Asset {
  readonly type: string;
  readonly tag: string;
  readonly plain: Buffer;
  readonly gzipped: Buffer;
}

export interface ConsoleFiles {
  /** Below a prefix of somebody else's server, or at its root. */
  readonly page: (prefix: string) => Asset;
  /** By their names, each of which has the hash of what it names. */
  readonly assets: ReadonlyMap<string, Asset>;
}

export interface FirstPageOptions {
  /** For who does not want a page. */
  readonly banner: string;
  /** Null: there is no console here. */
  readonly console: ConsoleFiles | null;
}

/** Null when it was not built. `channel`: the one that the page begins with. */
export function readConsole(channel: string, folder: string = FOLDER): ConsoleFiles | null {
  if (!existsSync(join(folder, PAGE))) return null;
  const names = readdirSync(join(folder, ASSETS)).filter((name) => extname(name) !== '.gz');
  const read = (name: string): Buffer => readFileSync(join(folder, ASSETS, name));
  const assets = names.map((name) => [name, assetOf(name, read(name), read(`${name}.gz`))] as const);
  const page = readFileSync(join(folder, PAGE), 'utf8').replace(CHANNEL_PLACE, () =>
    escapeAttribute(channel),
  );
  const made = new Map<string, Asset>();
  return {
    page: (prefix) => {
      const known = made.get(prefix);
      if (known !== undefined) return known;
      const text = page.replaceAll('"./console/', `"${prefix}/console/`).replace(PREFIX_PLACE, () => prefix);
      const asset = assetOf(PAGE, Buffer.from(text), gzipSync(text));
      if (made.size < MAX_PAGES) made.set(prefix, asset);
      return asset;
    },
    assets: new Map(assets),
  };
}

export function registerFirstPage(app: FastifyInstance, { banner, console }: FirstPageOptions): void {
  app.get('/', async (request, reply) => {
    if (console === null) return reply.type('text/plain; charset=utf-8').send(banner);
    reply.header('Vary', 'Accept, Accept-Encoding');
    if (!wantsPage(request.headers.accept)) return reply.type('text/plain; charset=utf-8').send(banner);
    return send(console.page(prefixOf(request.raw)), 'no-cache', request, reply);
  });
  if (console === null) return;
  app.get<{ Params: { name: string } }>('/console/:name', async (request, reply) => {
    const asset = console.assets.get(request.params.name);
    if (asset === undefined) return reply.callNotFound();
    reply.header('Vary', 'Accept-Encoding');
    return send(asset, 'public, max-age=31536000, immutable', request, reply);
  });
}

/** Only who names HTML: `curl` takes anything, and gets the text. */
function wantsPage(accept: string | undefined): boolean {
  return /(?:^|[,\s])text\/html(?:$|[\s,;])/i.test(accept ?? '');
}

function send(asset: Asset, caching: string, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { headers } = request;
  const isGzipped = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/i.test(headers['accept-encoding'] ?? '');
  const tag = isGzipped ? `"${asset.tag}-gzip"` : `"${asset.tag}"`;
  reply.headers({ ...CONSOLE_HEADERS, 'Cache-Control': caching, ETag: tag });
  if (knows(headers['if-none-match'], tag)) return reply.code(304).send();
  if (isGzipped) reply.header('Content-Encoding', 'gzip');
  return reply.type(asset.type).send(isGzipped ? asset.gzipped : asset.plain);
}

function knows(ifNoneMatch: string | undefined, tag: string): boolean {
  return (ifNoneMatch ?? '').split(',').some((known) => known.trim().replace(/^W\//, '') === tag);
}

function assetOf(name: string, plain: Buffer, gzipped: Buffer): Asset {
  const tag = createHash('sha256').update(plain).digest('base64url').slice(0, 22);
  return { type: TYPES[extname(name)] ?? 'application/octet-stream', tag, plain, gzipped };
}

function escapeAttribute(text: string): string {
  return text.replace(/[&"<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}
