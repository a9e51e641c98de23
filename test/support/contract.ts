/**
 * The documents that a server has of itself, for tests that take them at their word: whether a value is what a schema
 * of the document says, and nothing more than that.
 */
import assert from 'node:assert/strict';
import { Ajv2020 } from 'ajv/dist/2020.js';

type Json = Readonly<Record<string, unknown>>;

export interface OpenApi {
  readonly openapi: string;
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Json };
}

export interface OpenApiOperation {
  readonly operationId: string;
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Json }>> }>
  >;
}

export interface AsyncApi {
  readonly servers: Readonly<Record<string, { readonly host: string; readonly pathname?: string }>>;
  readonly channels: Readonly<
    Record<string, { readonly address: string; readonly messages: Json; readonly 'x-close-codes'?: Json }>
  >;
  readonly components: {
    readonly schemas: Json;
    readonly messages: Readonly<
      Record<string, { readonly payload: Json; readonly examples: { payload: unknown }[] }>
    >;
  };
}

export async function documentOf<Document>(address: string, name: string): Promise<Document> {
  const response = await fetch(`${address}/api/${name}.json`);
  assert.equal(response.status, 200);
  return (await response.json()) as Document;
}

/** Asserts that a value is what a schema says; a member that the schema does not know is a fault here. */
export function conformance(schemas: Json): (schema: Json, value: unknown, what: string) => void {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const components = { schemas: closed(schemas) };
  return (schema, value, what) => {
    const validate = ajv.compile({ ...(closed(schema) as Json), components });
    assert.ok(
      validate(value),
      `${what}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(value)?.slice(0, 500)}`,
    );
  };
}

function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { allOf, ...others } = schema as Json;
  const entries = Object.entries(others).map(([name, value]) => [name, closed(value)]);
  const known = 'properties' in others && others['type'] !== undefined ? { additionalProperties: false } : {};
  return { ...Object.fromEntries(entries), ...known, ...(allOf === undefined ? {} : { allOf }) };
}

/** With what is another one each time replaced: ids, epochs, cursors. */
export function leveled(value: unknown): unknown {
  const text = JSON.stringify(value)
    .replace(/"\d{13}-\d+"/g, '"<id>"')
    .replace(/"(?:\d{13}-\d+|0-0)@[\da-f]{12}\.(\d+)"/g, '"<cursor $1>"')
    .replace(/"epoch":"[\da-f]{12}"/g, '"epoch":"<epoch>"');
  return JSON.parse(text);
}
