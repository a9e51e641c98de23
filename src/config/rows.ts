/** The kinds of rows that the table of settings (config.ts) is made of: each knows what its values look like. */
import { z } from 'zod';
import type { Explained } from './shape.ts';
import { formatBytes, formatTime, parseBytes, parseCount, parseSeconds, parseTime } from './values.ts';

export interface Row<Schema extends z.ZodType = z.ZodType> {
  readonly schema: Schema;
  readonly initial: string;
  readonly allowed: string;
  readonly description: string;
  readonly secret?: boolean;
  readonly boolean?: boolean;
}

/** Rows by the names of their settings; `Values`: what each is read as. */
export type Rows<Values> = { readonly [Name in keyof Values]: Row<z.ZodType<Values[Name]>> };

type Range = readonly [min: number, max: number];

export type NumberRow = Row<z.ZodType<number>>;

type Quantity = (initial: string, range: Range, description: string) => NumberRow;

/** Makes the rows of one kind of number. */
function quantity(
  what: string,
  parse: (text: string) => number,
  format: (value: number) => string,
): Quantity {
  return (initial, [min, max], description) => {
    const schema = z.string().transform(parse).pipe(z.int().min(min).max(max));
    const bound = max === Number.MAX_SAFE_INTEGER ? '' : ` to ${format(max)}`;
    return { schema, initial, allowed: `${what} from ${format(min)}${bound}`, description };
  };
}

export const bytes: Quantity = quantity('a size', parseBytes, formatBytes);
export const time: Quantity = quantity('a time', parseTime, formatTime);
/** A time too, but a bare number is one of seconds. The value is in ms. */
export const seconds: Quantity = quantity('a number of seconds, or a time,', parseSeconds, formatTime);
export const count: Quantity = quantity('a whole number', parseCount, String);
export const perSecond: Quantity = quantity('a whole number a second,', parseCount, String);

export function oneOf<const Value extends string>(
  initial: Value | '',
  values: readonly Value[],
  description: string,
): Row<z.ZodType<Value>> {
  const allowed = values.map((value) => `\`${value}\``).join(', ');
  return { schema: z.enum(values), initial, allowed, description };
}

export const BOOLEAN: z.ZodType<boolean> = z.stringbool({
  truthy: ['true', '1', 'yes', 'on'],
  falsy: ['false', '0', 'no', 'off'],
});

export function parsed<Value>(parse: (text: string) => Value | null): z.ZodType<Value> {
  return z.string().transform((text, context) => {
    const value = parse(text);
    if (value !== null) return value;
    context.addIssue({ code: 'custom', message: 'malformed' });
    return z.NEVER;
  });
}

/** As `parsed`, for values of several pieces: what is wrong is part of the message. */
export function explained<Value>(parse: (text: string) => Explained<Value>): z.ZodOptional<z.ZodType<Value>> {
  const schema = z.string().transform((text, context) => {
    const value = parse(text);
    if ('ok' in value) return value.ok;
    context.addIssue({ code: 'custom', message: value.wrong, params: { isExplained: true } });
    return z.NEVER;
  });
  return (schema as unknown as z.ZodType<Value>).optional();
}
