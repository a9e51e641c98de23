/**
 * The documents that a server has of itself: valid by the validators of their standards, about every route there is,
 * and true: each example is asked of a server again, in the order of the table, and its answer is compared.
 */
import assert from 'node:assert/strict';
import diagnostics from 'node:diagnostics_channel';
import { describe, test } from 'node:test';
import { Parser } from '@asyncapi/parser';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { FastifyInstance } from 'fastify';
import type { Example, Operation } from '../../src/http/contracts/operation.ts';
import { OPERATIONS } from '../../src/http/contracts/operations.ts';
import { type AsyncApi, conformance, documentOf, leveled, type OpenApi } from '../support/contract.ts';
import { GatedLog } from '../support/gated-log.ts';
import { POSTMAN_SCHEMA, type PostmanItem } from '../support/postman.ts';
import { TestServer } from '../support/running-server.ts';

const DOCUMENTS = ['openapi', 'asyncapi', 'postman'];
const ROLES = ['manager', 'broadcaster'];
type Schema = Readonly<Record<string, unknown>>;

/** Shown to people, not asked by programs. */
const IS_PAGE = /^\/(?!api\b|sse\b|ws\b|healthz|readyz|metrics)/;

/** The routes of the servers that are started meanwhile. */
function routesSeen(): { readonly seen: Set<string>; readonly stop: () => void } {
  const seen = new Set<string>();
  const listen = (message: unknown): void => {
    const { fastify } = message as { fastify: FastifyInstance };
    fastify.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) seen.add(`${one} ${url}`);
    });
  };
  diagnostics.subscribe('fastify.initialization', listen);
  return { seen, stop: () => diagnostics.unsubscribe('fastify.initialization', listen) };
}

function keysOf({ paths }: OpenApi): string[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
  );
}

async function ask(address: string, { path, headers, body }: Example, method: string): Promise<Response> {
  const abort = new AbortController();
  const response = await fetch(`${address}${path}`, {
    method,
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined ? {} : { body }),
    signal: abort.signal,
  });
  if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) abort.abort();
  return response;
}

/** As it is, with the schema that it is documented with; null: it goes on. */
async function answerOf(
  address: string,
  { paths }: OpenApi,
  { method, path }: Operation,
  example: Example,
): Promise<{ readonly answer: unknown; readonly schema: Schema }> {
  const response = await ask(address, example, method);
  const type = response.headers.get('content-type') ?? '';
  const what = `${method} ${example.path}`;
  assert.equal(response.status, example.status, what);
  assert.ok(type.startsWith(example.type ?? ''), `${what}: ${type}`);
  const operation = paths[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
  const content = operation?.responses[response.status]?.content?.[example.type ?? ''];
  assert.ok(content, `${what}: such an answer is not documented`);
  const answer = type.startsWith('text/event-stream') ? null : parse(type, await response.text());
  return { answer, schema: content.schema };
}

function parse(type: string, text: string): unknown {
  if (type.includes('ndjson'))
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  return type.includes('json') ? JSON.parse(text) : text;
}

describe('the document of OpenAPI', () => {
  test('is valid, and about each route of a running server and no other', async () => {
    const { seen, stop } = routesSeen();
    await using server = await TestServer.start();
    stop();
    const document = await documentOf<OpenApi>(server.address, 'openapi');
    const verdict = await new Validator().validate(document as never);
    assert.deepEqual(verdict.errors ?? [], []);
    assert.equal(document.openapi, '3.1.0');
    assert.equal(document.servers[0]?.url, server.address);
    const routes = [...seen].filter((key) => !/^(?:HEAD|OPTIONS) /.test(key));
    const programs = routes.filter((key) => !IS_PAGE.test(key.split(' ')[1] ?? ''));
    assert.ok(programs.length > 10);
    assert.deepEqual(keysOf(document).toSorted(), programs.toSorted());
  });

  test('tells the truth: each example is answered as it says, and as its schema says', async () => {
    await using server = await TestServer.start();
    const document = await documentOf<OpenApi>(server.address, 'openapi');
    const conforms = conformance(document.components.schemas);
    for (const operation of OPERATIONS) {
      assert.ok(operation.examples.length > 0, operation.id);
      for (const example of operation.examples) {
        const what = `${operation.id}, ${example.name}`;
        const { schema, answer } = await answerOf(server.address, document, operation, example);
        const line = schema['x-each-line'] as Schema | undefined;
        for (const told of [answer, example.answer].filter((one) => one !== null)) {
          if (line === undefined) conforms(schema, told, what);
          else for (const one of told as unknown[]) conforms(line, one, what);
        }
        if (example.answer !== null) assert.deepEqual(leveled(answer), leveled(example.answer), what);
      }
    }
    const compared = OPERATIONS.flatMap(({ examples }) => examples).filter(({ answer }) => answer !== null);
    assert.ok(compared.length > 10);
  });

  test('leaves out what is not done in this role', async () => {
    for (const role of ROLES) {
      const settings = { ROLE: role, STORE: 'redis', REDIS_URL: 'redis://127.0.0.1:1' };
      await using server = await TestServer.start(settings, new GatedLog());
      const document = await documentOf<OpenApi>(server.address, 'openapi');
      assert.equal((await new Validator().validate(document as never)).valid, true);
      const there = OPERATIONS.filter(({ half }) => half === undefined || half === role);
      assert.deepEqual(
        keysOf(document).toSorted(),
        there.map(({ method, path }) => `${method} ${path}`).toSorted(),
      );
      const { channels } = await documentOf<AsyncApi>(server.address, 'asyncapi');
      const isPublishing = Object.keys(channels).every((name) => name.startsWith('publish'));
      assert.equal(isPublishing, role === 'manager');
    }
  });
});

describe('what another role does', () => {
  const NAMES = ['all', ...ROLES];

  function settingsOf(role: string): Record<string, string> {
    return role === 'all' ? {} : { ROLE: role, STORE: 'redis', REDIS_URL: 'redis://127.0.0.1:1' };
  }

  /** Without the address that they were asked by. */
  async function told(address: string, query: string): Promise<string[]> {
    const answers = DOCUMENTS.map(async (name) => {
      const response = await fetch(`${address}/api/${name}.json${query}`);
      assert.equal(response.status, 200);
      return (await response.text()).replaceAll(new URL(address).host, 'here');
    });
    return Promise.all(answers);
  }

  test('is told by each as by one of that role itself, whatever was asked before', async () => {
    const own = new Map<string, string[]>();
    for (const role of NAMES) {
      await using server = await TestServer.start(settingsOf(role), new GatedLog());
      own.set(role, await told(server.address, ''));
    }
    assert.equal(new Set([...own.values()].flat()).size, NAMES.length * DOCUMENTS.length);
    for (const role of NAMES) {
      await using server = await TestServer.start(settingsOf(role), new GatedLog());
      for (const asked of [...NAMES, ...NAMES]) {
        assert.deepEqual(await told(server.address, `?role=${asked}`), own.get(asked), `${role} of ${asked}`);
      }
      assert.deepEqual(await told(server.address, ''), own.get(role));
    }
  });

  test('is refused where there is no such role, or more than one is named', async () => {
    await using server = await TestServer.start();
    for (const name of DOCUMENTS) {
      for (const query of ['?role=', '?role=both', '?role=ALL', '?role=all&role=all']) {
        const response = await fetch(`${server.address}/api/${name}.json${query}`);
        assert.equal(response.status, 400, `${name}${query}`);
        assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
        assert.equal(((await response.json()) as { code: string }).code, 'bad_request');
      }
    }
  });
});

describe('the document of AsyncAPI', () => {
  test('is valid', async () => {
    await using server = await TestServer.start();
    const response = await fetch(`${server.address}/api/asyncapi.json`);
    const { document, diagnostics: found } = await new Parser().parse(await response.text());
    // 0 is an error, 1 a warning; the rest are hints, such as that there is a later version.
    assert.deepEqual(
      found.filter(({ severity }) => [0, 1].includes(severity)),
      [],
    );
    assert.equal(document?.version(), '3.0.0');
    assert.deepEqual(
      document
        .channels()
        .all()
        .map((channel) => channel.id())
        .toSorted(),
      ['followEvents', 'followRaw', 'followV1', 'publishRaw', 'publishV1'],
    );
  });
});

describe('the collection for Postman', () => {
  test('has the form that Postman reads, and each request is one of the table', async () => {
    await using server = await TestServer.start();
    const collection = await documentOf<{ item: PostmanItem[]; variable: { value: string }[] }>(
      server.address,
      'postman',
    );
    const ajv = new Ajv2020({ strict: false });
    assert.ok(ajv.validate(POSTMAN_SCHEMA, collection), ajv.errorsText());
    assert.equal(collection.variable[0]?.value, server.address);
    const requests = collection.item.flatMap(({ item = [] }) => item);
    const asked = requests.filter(({ request }) => request?.url.raw.startsWith('{{baseUrl}}'));
    const examples = OPERATIONS.filter(({ group }) => group !== 'WebSockets').flatMap((one) => one.examples);
    assert.deepEqual(
      new Set(asked.map(({ request }) => request?.url.raw)),
      new Set(examples.map(({ path }) => `{{baseUrl}}${path}`)),
    );
    assert.equal(asked.length, examples.length);
    assert.equal(requests.length - asked.length, 4, 'and the ways to open a WebSocket');
  });
});

describe('the documents', () => {
  test('are there for who shows nothing, where everything else asks for a token', async () => {
    await using server = await TestServer.start({
      AUTH_HS256_SECRET: 'a secret of at least thirty-two bytes',
    });
    assert.equal((await fetch(`${server.address}/api/channels`)).status, 401);
    for (const name of DOCUMENTS) await documentOf(server.address, name);
  });

  test('are read by the pages that may, and by no others', async () => {
    await using server = await TestServer.start({ ALLOWED_ORIGINS: 'https://tools.example' });
    for (const name of DOCUMENTS) {
      const read = (origin: string): Promise<Response> =>
        fetch(`${server.address}/api/${name}.json`, { headers: { Origin: origin } });
      const allowed = await read('https://tools.example');
      assert.equal(allowed.status, 200);
      assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://tools.example');
      assert.equal((await read('https://evil.example')).status, 403);
    }
  });
});
