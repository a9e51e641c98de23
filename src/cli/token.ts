/** `rivercast token`: a token for trying things out, signed by the first secret that the server would take. */
import { type Command, Option } from 'commander';
import { parseSecrets } from '../config/values.ts';
import { StartError } from '../errors.ts';
import { addExamples } from './examples.ts';
import { print } from './output.ts';
import { addPermissions, lifetimeOf, type PermissionFlags, permissionsOf } from './permissions.ts';

interface TokenFlags extends PermissionFlags {
  /** As AUTH_HS256_SECRET. */
  readonly secret?: string;
  readonly subject?: string;
  /** `1h`. */
  readonly expires: string;
  readonly audience?: string;
  readonly issuer?: string;
}

const NOTE = `Without a permission it may publish and subscribe everywhere. AUTH_HS256_SECRET is as for the server, for example the
output of: openssl rand -base64 48`;

const EXAMPLES = [
  'rivercast token',
  "rivercast token --subject ann --subscribe 'scores:*' --publish chat --expires 15m",
];

export function addToken(program: Command): void {
  const command = program
    .command('token')
    .description('mint a token for trying things out, signed by AUTH_HS256_SECRET')
    .addOption(new Option('--secret <secret>', 'to sign with').env('AUTH_HS256_SECRET').hideHelp())
    .option('--subject <name>', 'who it is for: the claim sub')
    .option('--expires <time>', 'for how long it is good', '1h')
    .addOption(new Option('--audience <name>', 'the claim aud').env('AUTH_AUDIENCE'))
    .addOption(new Option('--issuer <name>', 'the claim iss').env('AUTH_ISSUER'));
  addExamples(addPermissions(command), EXAMPLES, NOTE).action(async (flags: TokenFlags) => {
    await print(`${await mintToken(flags)}\n`);
  });
}

/** With no permission named, to publish and to subscribe everywhere. Rejects with StartError. */
async function mintToken(flags: TokenFlags): Promise<string> {
  const { SignJWT } = await import('jose');
  const { secret, kid } = secretOf(flags.secret);
  const permissions = permissionsOf(flags);
  const isBare = Object.keys(permissions).length === 0;
  const nowS = Math.floor(Date.now() / 1000);
  const token = new SignJWT(isBare ? { publish: ['*'], subscribe: ['*'] } : { ...permissions })
    .setProtectedHeader({ alg: 'HS256', ...(kid === null ? {} : { kid }) })
    .setIssuedAt(nowS)
    .setExpirationTime(nowS + Math.round(lifetimeOf(flags.expires) / 1000));
  if (flags.subject !== undefined) token.setSubject(flags.subject);
  const audience = flags.audience?.split(',')[0]?.trim();
  if (audience !== undefined && audience !== '') token.setAudience(audience);
  if (flags.issuer !== undefined) token.setIssuer(flags.issuer);
  return token.sign(Buffer.from(secret));
}

function secretOf(text: string | undefined): { readonly secret: string; readonly kid: string | null } {
  const secrets = parseSecrets(text ?? '');
  if ('wrong' in secrets) throw new StartError(`AUTH_HS256_SECRET: ${secrets.wrong}`, 2);
  const [first] = secrets.ok;
  if (first !== undefined) return first;
  throw new StartError(
    'there is no secret to sign with: set AUTH_HS256_SECRET as for the server, for example to the output of: openssl rand -base64 48',
    2,
  );
}
