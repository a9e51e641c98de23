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
import type { Role } from '../config.ts';
import { pathAndQueryOf } from './request.ts';
import { CONSOLE_HEADERS } from './security-headers.ts';

const FOLDER = fileURLToPath(new URL('../console/', import.meta.url));
const PAGE = 'index.html';
const ASSETS = 'console';
/** Where the page is told the name of the default channel. */
const CHANNEL_PLACE = '%RIVERCAST_CHANNEL%';
/** And what this process does. */
const ROLE_PLACE = '%RIVERCAST_ROLE%';

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
  /** What it names lies beside it: it may be below a path of another server, or of a proxy that takes that off. */
  readonly page: Asset;
  /** By their names, each of which has the hash of what it names. */
  readonly assets: ReadonlyMap<string, Asset>;
}

export interface FirstPageOptions {
  /** For who does not want a page. */
  readonly banner: string;
  /** Null: there is no console here. */
  readonly console: ConsoleFiles | null;
}

export interface PageFacts {
  /** The one that the page begins with. */
  readonly channel: string;
  readonly role: Role;
}

/** Null when it was not built. */
export function readConsole({ channel, role }: PageFacts): ConsoleFiles | null {
  if (!existsSync(join(FOLDER, PAGE))) return null;
  const names = readdirSync(join(FOLDER, ASSETS)).filter((name) => extname(name) !== '.gz');
  const read = (name: string): Buffer => readFileSync(join(FOLDER, ASSETS, name));
  const assets = names.map((name) => [name, assetOf(name, read(name), read(`${name}.gz`))] as const);
  const page = readFileSync(join(FOLDER, PAGE), 'utf8')
    .replace(CHANNEL_PLACE, () => escapeAttribute(channel))
    .replace(ROLE_PLACE, role);
  return { page: assetOf(PAGE, Buffer.from(page), gzipSync(page)), assets: new Map(assets) };
}

export function registerFirstPage(app: FastifyInstance, { banner, console }: FirstPageOptions): void {
  app.get('/', async (request, reply) => {
    if (console === null) return reply.type('text/plain; charset=utf-8').send(banner);
    reply.header('Vary', 'Accept, Accept-Encoding');
    if (!wantsPage(request.headers.accept)) return reply.type('text/plain; charset=utf-8').send(banner);
    const whole = withSlash(request.originalUrl);
    if (whole !== null) return reply.header('Cache-Control', 'no-cache').redirect(whole);
    return send(console.page, 'no-cache', request, reply);
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

/**
 * Where somebody has to go who asks for the path that this server is below without a slash at its end, seen from there; null: the
 * slash is there. Beside such a path lies what is the host's.
 */
function withSlash(url: string): string | null {
  const [path = '', ...query] = pathAndQueryOf({ url }).split('?');
  if (path === '' || path.endsWith('/')) return null;
  return [`./${path.slice(path.lastIndexOf('/') + 1)}/`, ...query].join('?');
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
