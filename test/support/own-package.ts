/** Code that imports `rivercast` as its users do, made to import what was just compiled. */
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const SOURCES = new URL('../../src/', import.meta.url);
const PARTS: Readonly<Record<string, string>> = {
  rivercast: 'index.js',
  'rivercast/client': 'client/index.js',
  'rivercast/react': 'client/react.js',
};

/** Below the checkout: other packages are found from here. */
const FOLDER = fileURLToPath(new URL('../user-code/', import.meta.url));

/** Writes it as a module, and returns its path. */
export async function writeModule(name: string, code: string): Promise<string> {
  await mkdir(FOLDER, { recursive: true });
  const path = `${FOLDER}${name.replaceAll(/\W/g, '-')}.mjs`;
  const from = code.replaceAll(/ from '(rivercast[\w/]*)'/g, (_all, part: string) => {
    const file = PARTS[part];
    if (file === undefined) throw new Error(`${name}: there is no ${part}`);
    return ` from '${new URL(file, SOURCES).href}'`;
  });
  await writeFile(path, from);
  return path;
}
