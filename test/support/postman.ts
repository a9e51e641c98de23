/**
 * What a collection for Postman has to be (collection format 2.1.0), as far as Rivercast uses it. It is not Postman's own
 * schema, which no package here has, but narrower: written beside it (schemas/draft-07/v2.1.0 of
 * github.com/postmanlabs/schemas, read in November 2026), so that what this takes that takes too. A later change of
 * theirs is not noticed here.
 */
export interface PostmanItem {
  readonly name: string;
  readonly item?: PostmanItem[];
  readonly request?: { readonly method: string; readonly url: { readonly raw: string } };
}

const TEXT = { type: 'string' };

function object(properties: Readonly<Record<string, unknown>>, required: readonly string[]): object {
  return { type: 'object', properties, required, additionalProperties: false };
}

function list(items: object): object {
  return { type: 'array', items };
}

const VARIABLE = object({ key: TEXT, value: {}, type: { enum: ['string', 'boolean', 'any', 'number'] } }, [
  'key',
]);
const AUTH = object(
  {
    type: { enum: ['bearer', 'noauth'] },
    bearer: list(object({ key: TEXT, value: {}, type: TEXT }, ['key'])),
  },
  ['type'],
);
const PAIRS = list(object({ key: TEXT, value: TEXT }, ['key', 'value']));
const URL_FORM = object({ raw: TEXT, host: list(TEXT), path: list(TEXT), query: PAIRS }, ['raw']);
const REQUEST = object(
  {
    url: URL_FORM,
    auth: AUTH,
    method: { enum: ['GET', 'POST', 'DELETE'] },
    description: TEXT,
    header: PAIRS,
    body: object({ mode: { const: 'raw' }, raw: TEXT }, ['mode']),
  },
  [],
);
const RESPONSE = object(
  { name: TEXT, originalRequest: REQUEST, header: PAIRS, body: TEXT, code: { type: 'integer' } },
  [],
);
const ITEM = object({ name: TEXT, request: REQUEST, response: list(RESPONSE) }, ['request']);

export const POSTMAN_SCHEMA: object = object(
  {
    info: object(
      {
        name: TEXT,
        description: TEXT,
        version: { type: 'string', pattern: '^\\d+\\.\\d+\\.\\d+' },
        schema: { const: 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json' },
      },
      ['name', 'schema'],
    ),
    item: list(object({ name: TEXT, item: list(ITEM) }, ['item'])),
    variable: list(VARIABLE),
    auth: AUTH,
  },
  ['info', 'item'],
);
