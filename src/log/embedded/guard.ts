/**
 * One server per data directory. The guard is a listening Unix socket in the directory: while its owner
 * lives, connecting succeeds; once the owner is gone, also by SIGKILL, the kernel refuses, and the file left
 * behind may be removed. (A pid file fails in containers, where every server is pid 1.)
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join, relative } from 'node:path';
import { StartError } from '../../errors.ts';

const SOCKET_NAME = 'owner.sock';
/** sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included. */
const MAX_SOCKET_PATH = 103;
const ATTEMPTS = 3;

export class DirectoryGuard {
  readonly #server: Server;
  readonly #directory: FileHandle | null;

  private constructor(server: Server, directory: FileHandle | null) {
    this.#server = server;
    this.#directory = directory;
  }

  /** Takes the directory, or throws a StartError when another server holds it. */
  static async take(dataDir: string): Promise<DirectoryGuard> {
    const { path, directory } = await socketPath(dataDir);
    try {
      return new DirectoryGuard(await listenAt(path, dataDir), directory);
    } catch (error) {
      await directory?.close();
      throw error;
    }
  }

  async release(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await this.#directory?.close();
  }
}

/** A path to the socket that is short enough: the plain one, else relative, else through an open directory. */
async function socketPath(dataDir: string): Promise<{ path: string; directory: FileHandle | null }> {
  if (process.platform === 'win32') {
    const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 32);
    return { path: `\\\\.\\pipe\\rivercast-${name}`, directory: null };
  }
  const plain = join(dataDir, SOCKET_NAME);
  if (Buffer.byteLength(plain) <= MAX_SOCKET_PATH) return { path: plain, directory: null };
  const short = relative(process.cwd(), plain);
  if (Buffer.byteLength(short) <= MAX_SOCKET_PATH) return { path: short, directory: null };
  if (process.platform !== 'linux') {
    throw new StartError(`the data directory's path is too long for a socket in it: ${dataDir}`);
  }
  const directory = await open(dataDir, 'r');
  return { path: `/proc/self/fd/${directory.fd}/${SOCKET_NAME}`, directory };
}

async function listenAt(path: string, dataDir: string): Promise<Server> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      return await listen(path);
    } catch (error) {
      if (codeOf(error) !== 'EADDRINUSE') {
        throw new StartError(`cannot guard the data directory ${dataDir}: ${String(error)}`, 1, {
          cause: error,
        });
      }
    }
    if (await isAlive(path)) break;
    await unlink(path).catch(() => {});
  }
  throw new StartError(`another server is using the data directory ${dataDir}`);
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.destroy();
    });
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      server.on('error', () => {});
      server.unref();
      resolve(server);
    });
  });
}

/** Only a refused connection proves that the owner is gone; anything unclear counts as alive. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      const code = codeOf(error);
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT');
    });
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
