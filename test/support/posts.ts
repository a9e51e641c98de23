/** Publishing over HTTP, as a test asks for it and reads the answer. */
import type { IncomingHttpHeaders } from 'node:http';
import { NDJSON, PATH } from './history.ts';
import type { RawSocket } from './raw-socket.ts';
import { requestTo } from './secure.ts';
import { within } from './within.ts';

export interface Posted {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The answer as JSON: of an entry that is stored, or a problem. */
  readonly body: { readonly id?: string; readonly duplicate?: boolean; readonly code?: string };
}

export interface PostOptions {
  /** Exactly these, and what HTTP needs. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly method?: string;
  readonly path?: string;
}

/** Sends `body` and nothing that was not asked for, as `fetch` would. A list is sent in chunks. */
export function post(
  { address }: { readonly address: string },
  body: Buffer | string | readonly (Buffer | string)[],
  { headers = {}, method = 'POST', path = PATH }: PostOptions = {},
): Promise<Posted> {
  const answered = new Promise<Posted>((resolve, reject) => {
    const asking = requestTo(`${address}${path}`, { method, agent: false, headers: { ...headers } });
    asking.on('error', reject).on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('error', reject).on('end', () => {
        const isJson = /json/.test(response.headers['content-type'] ?? '') && !text.includes('}\n');
        const parsed = (isJson && text !== '' ? JSON.parse(text) : {}) as Posted['body'];
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: parsed });
      });
    });
    if (Array.isArray(body)) for (const piece of body) asking.write(piece);
    asking.end(Array.isArray(body) ? undefined : body);
  });
  return within('an answer', answered);
}

/** The text of a request, to be written by hand. */
export function postText(body: string, ...headers: readonly string[]): string {
  const lines = [
    `POST ${PATH} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** The head of a batch that is written by hand, chunk by chunk. */
export const BATCH_HEAD: string = [
  `POST ${PATH} HTTP/1.1`,
  'Host: 127.0.0.1',
  `Content-Type: ${NDJSON}`,
  'Transfer-Encoding: chunked',
  '\r\n',
].join('\r\n');
export const LAST_CHUNK = '0\r\n\r\n';

/** One chunk of a body. */
export function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

/** The next answer on a connection. */
export async function answerOn(raw: RawSocket): Promise<{ readonly head: string; readonly body: string }> {
  const head = await raw.head();
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
  return { head, body: (await raw.take(length)).toString() };
}
