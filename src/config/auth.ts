/** The rows of the table of settings (config.ts) about who may come, and what they may do. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { explained, oneOf, parsed, type Rows } from './rows.ts';
import type { AuthMode, Secret } from './shape.ts';
import { parseSecrets } from './values.ts';

export interface AuthValues {
  AUTH: AuthMode | undefined;
  AUTH_HS256_SECRET: readonly Secret[] | undefined;
  AUTH_PUBLIC_KEY: string | undefined;
  AUTH_JWKS_URL: string | undefined;
  AUTH_AUDIENCE: readonly string[];
  AUTH_ISSUER: string | undefined;
  API_KEYS_FILE: string | undefined;
}

const FILE: z.ZodType<string | undefined> = z
  .string()
  .transform((path) => resolve(path))
  .optional();

export const AUTH_ROWS: Rows<AuthValues> = {
  AUTH: {
    ...oneOf('', ['off', 'required', 'publish-only'], ''),
    schema: z.enum(['off', 'required', 'publish-only']).optional(),
    description:
      'Who needs a token or an API key: nobody (`off`), everybody (`required`), or publishers while anybody may subscribe (`publish-only`). Absent: `required` when one of the next settings gives keys, else `off`.',
  },
  AUTH_HS256_SECRET: {
    schema: explained(parseSecrets),
    initial: '',
    allowed:
      'secrets of 32 characters and more, separated by commas, each with its `kid:` before it if it has one',
    description: 'Tokens signed with HS256 by one of these are good. Several, while they are exchanged.',
    secret: true,
  },
  AUTH_PUBLIC_KEY: {
    schema: FILE,
    initial: '',
    allowed: 'a file of public keys or certificates in PEM form',
    description: 'Tokens signed by the private half of one of these (RS, PS, ES, EdDSA) are good.',
  },
  AUTH_JWKS_URL: {
    schema: z.url({ protocol: /^https?$/ }).optional(),
    initial: '',
    allowed: 'an `https://` or `http://` address',
    description:
      'The key set of an identity provider (JWKS): tokens signed by one of its keys are good. Kept for 10 minutes, and for a day when it does not answer.',
  },
  AUTH_AUDIENCE: {
    schema: parsed(parseList),
    initial: '',
    allowed: 'names separated by commas',
    description: 'The claim `aud` of a token must hold one of these. Empty: it is not looked at.',
  },
  AUTH_ISSUER: {
    schema: z.string().optional(),
    initial: '',
    allowed: 'a name, mostly an address',
    description: 'The claim `iss` of a token must be this. Absent: it is not looked at.',
  },
  API_KEYS_FILE: {
    schema: FILE,
    initial: '',
    allowed: 'the path of a JSON file, as `rivercast api-key` writes it',
    description:
      'Keys for programs that have no token, each with what it may do; kept as hashes. Read anew when it changes: connections of a key that was taken out are closed.',
  },
};

function parseList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
