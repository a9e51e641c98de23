/** The version of the package, from its package.json, wherever the compiled file lies below it. */
import { existsSync, readFileSync } from 'node:fs';

export const VERSION: string = readVersion();

function readVersion(): string {
  for (let folder = new URL('.', import.meta.url); ; folder = new URL('..', folder)) {
    const file = new URL('package.json', folder);
    if (existsSync(file)) {
      const { name, version } = JSON.parse(readFileSync(file, 'utf8')) as { name?: string; version?: string };
      if (name === 'rivercast' && version !== undefined) return version;
    }
    if (folder.pathname === '/' || folder.href === new URL('..', folder).href) return 'unknown';
  }
}
