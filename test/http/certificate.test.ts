/** The certificate: what stops a start, and how another one takes its place while connections stay. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { StartError } from '../../src/errors.ts';
import { signed } from '../support/certificates.ts';
import { startCli } from '../support/cli.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { TestServer } from '../support/running-server.ts';
import { trusted } from '../support/secure.ts';
import { type TlsFiles, tlsFiles } from '../support/tls-server.ts';
import { until, within } from '../support/within.ts';

/** What a client is shown: the serial number, and when it ends. */
async function shown(address: string): Promise<{ readonly serial: string; readonly expires: string }> {
  const { port } = new URL(address);
  const socket = connect({ host: '127.0.0.1', port: Number(port), ...trusted() });
  await within('a handshake', once(socket, 'secureConnect'));
  const { serialNumber, valid_to: expires } = socket.getPeerCertificate();
  socket.destroy();
  return { serial: serialNumber, expires };
}

/** A pair in files of its own, signed by the same authority. */
async function another(files: TlsFiles, name: string, days = 90): Promise<{ cert: string; key: string }> {
  const [cert, key] = [join(files.dir, `${name}-cert.pem`), join(files.dir, `${name}-key.pem`)];
  await signed(files.dir, { cert, key, days });
  return { cert, key };
}

function linesIn(
  said: readonly string[],
): readonly { readonly msg: string; readonly [name: string]: unknown }[] {
  return said.map((line) => JSON.parse(line) as { msg: string });
}

async function startSaying(
  files: TlsFiles,
  settings: object = files.settings,
): Promise<{ server: TestServer; said: string[] }> {
  const said: string[] = [];
  const server = await TestServer.start({ LOG_LEVEL: 'info', ...settings }, undefined, said);
  return { server, said };
}

const AGAIN = 'the certificate was read again';
const BAD = 'the new certificate can not be used; the one before goes on';

describe('a start', () => {
  type Spoil = (t: TestContext, files: TlsFiles) => Promise<object>;
  const spoilt: readonly (readonly [name: string, spoil: Spoil, reason: RegExp])[] = [
    [
      'without the file',
      async (_t, { dir }) => ({ TLS_CERT: join(dir, 'none.pem') }),
      /^TLS_CERT=".*none\.pem" can not be read \(ENOENT\)$/,
    ],
    [
      'with a key for a certificate',
      async (_t, { key }) => ({ TLS_CERT: key }),
      /^TLS_CERT=".*" holds no certificate in PEM form$/,
    ],
    [
      'with a certificate for a key',
      async (_t, { cert }) => ({ TLS_KEY: cert }),
      /^TLS_KEY=".*" holds no private key in PEM form that needs no passphrase$/,
    ],
    [
      'with the key of another',
      async (_t, files) => ({ TLS_KEY: (await another(files, 'other')).key }),
      /^TLS_KEY=".*other-key\.pem" is not the key of the certificate in TLS_CERT=".*"$/,
    ],
  ];
  for (const [name, spoil, reason] of spoilt) {
    test(`${name} fails, and says why`, async (t) => {
      const files = await tlsFiles(t);
      const settings = { ...files.settings, ...(await spoil(t, files)) };
      await assert.rejects(TestServer.start(settings), (error) => {
        assert.ok(error instanceof StartError);
        assert.match(error.message, reason);
        return error.exitCode === 1;
      });
    });
  }

  test('with one of the two alone fails before anything is read', async () => {
    await assert.rejects(TestServer.start({ TLS_KEY: '/nowhere' }), /belong together/);
  });
});

/** All wait for the next look at the files. */
describe('another pair', { concurrency: true }, () => {
  test('that is moved into the place of the files is shown to those who come; who is there stays', async (t) => {
    const files = await tlsFiles(t);
    const { server, said } = await startSaying(files);
    await using running = server;
    await using subscriber = await running.subscriber();
    const before = await shown(running.address);
    const { cert, key } = await another(files, 'next');
    await rename(key, files.key);
    await rename(cert, files.cert);
    await until('it was read', () => linesIn(said).some(({ msg }) => msg === AGAIN), 5000);
    const after = await shown(running.address);
    assert.notEqual(after.serial, before.serial);
    const line = linesIn(said).find(({ msg }) => msg === AGAIN);
    assert.equal(line?.['expires'], new Date(after.expires).toISOString());
    await using publisher = await running.publisher();
    publisher.send('still here');
    assert.equal(await subscriber.text(), 'still here');
  });

  test('that a link is turned to is shown; one that can not be used is told of once', async (t) => {
    const files = await tlsFiles(t);
    const { dir } = files;
    // As Kubernetes mounts a secret: tls.crt → ..data/tls.crt, ..data → a directory.
    const lay = async (name: string, cert: string, key: string): Promise<void> => {
      await mkdir(join(dir, name));
      await copyFile(cert, join(dir, name, 'tls.crt'));
      await copyFile(key, join(dir, name, 'tls.key'));
      await symlink(name, join(dir, '..data_tmp'));
      await rename(join(dir, '..data_tmp'), join(dir, '..data'));
    };
    await lay('one', files.cert, files.key);
    for (const name of ['tls.crt', 'tls.key']) await symlink(join('..data', name), join(dir, name));
    const settings = { TLS_CERT: join(dir, 'tls.crt'), TLS_KEY: join(dir, 'tls.key') };
    const { server, said } = await startSaying(files, settings);
    await using running = server;
    const before = await shown(running.address);
    const next = await another(files, 'next');
    await lay('two', next.cert, files.key);
    await until('it is refused', () => linesIn(said).some(({ msg }) => msg === BAD), 5000);
    assert.deepEqual(await shown(running.address), before);
    await lay('three', next.cert, next.key);
    await until('it was read', () => linesIn(said).some(({ msg }) => msg === AGAIN), 5000);
    assert.notEqual((await shown(running.address)).serial, before.serial);
    assert.equal(linesIn(said).filter(({ msg }) => msg === BAD).length, 1);
  });

  test('is shown to those who come while it changes: none is refused, and none gets half of each', async (t) => {
    const files = await tlsFiles(t);
    const { server } = await startSaying(files);
    await using running = server;
    const before = (await shown(running.address)).serial;
    const next = await another(files, 'next');
    const serials: string[] = [];
    const later = (): number => serials.filter((serial) => serial !== before).length;
    const come = async (): Promise<void> => {
      while (later() < 50) {
        await using one = await RawSocket.open(running.address, '/ws/broadcast');
        serials.push((one.socket as TLSSocket).getPeerCertificate().serialNumber);
      }
    };
    const coming = Promise.all([come(), come(), come()]);
    await until('fifty came before', () => serials.length >= 50);
    await rename(next.key, files.key);
    await rename(next.cert, files.cert);
    await coming;
    assert.equal(new Set(serials).size, 2);
    // Three come at a time: after the first with the new one, two more may have begun before it.
    const first = serials.findIndex((serial) => serial !== before);
    assert.ok(serials.slice(first + 3).every((serial) => serial !== before));
  });

  test('is not looked for in vain: files that go are told of once, and may come back', async (t) => {
    const files = await tlsFiles(t);
    const { server, said } = await startSaying(files);
    await using running = server;
    const { cert } = await another(files, 'kept');
    await copyFile(files.cert, cert);
    await rm(files.cert);
    await until('it is told', () => linesIn(said).some(({ msg }) => msg === BAD), 5000);
    await shown(running.address);
    await rename(cert, files.cert);
    await until('it was read', () => linesIn(said).some(({ msg }) => msg === AGAIN), 5000);
    assert.equal(linesIn(said).filter(({ msg }) => msg === BAD).length, 1);
  });
});

describe('an end that is near', () => {
  test('is warned of at the start, one that is far is not', async (t) => {
    const files = await tlsFiles(t);
    const far = await another(files, 'far', 15);
    const near = await startSaying(files);
    await near.server.stop();
    const later = await startSaying(files, { TLS_CERT: far.cert, TLS_KEY: far.key });
    await later.server.stop();
    const warnings = (said: readonly string[]): number =>
      linesIn(said).filter(({ msg }) => msg === 'the certificate expires soon').length;
    assert.deepEqual([warnings(near.said), warnings(later.said)], [1, 0]);
  });
});

describe('SIGHUP', () => {
  test('has the files read again, whether they changed or not', async (t) => {
    const files = await tlsFiles(t);
    const cli = startCli(t, { env: { ...files.settings, PORT: '0', STORE: 'memory' } });
    const started = await within('the start', cli.line('started'));
    assert.match(String(started['subscribe']), /^wss:\/\/127\.0\.0\.1:\d+\/ws\/broadcast$/);
    cli.child.kill('SIGHUP');
    await within('the line', cli.line(AGAIN));
    await writeFile(files.key, 'no key');
    cli.child.kill('SIGHUP');
    const told = await within('the line', cli.line(BAD));
    assert.match(String(told['reason']), /holds no private key/);
    await shown((started['addresses'] as string[])[0] as string);
    cli.child.kill('SIGTERM');
    assert.equal((await within('the end', cli.exit)).code, 0);
  });

  test('does nothing to a server without a certificate', async (t) => {
    const cli = startCli(t, { env: { PORT: '0', STORE: 'memory' } });
    const started = await within('the start', cli.line('started'));
    cli.child.kill('SIGHUP');
    await within('the line', cli.line('SIGHUP is ignored: there is no certificate to read again'));
    assert.equal((await fetch(`${(started['addresses'] as string[])[0]}/healthz`)).status, 200);
    cli.child.kill('SIGTERM');
    assert.equal((await within('the end', cli.exit)).code, 0);
  });
});
