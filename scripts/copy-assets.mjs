// What the compiler does not do: copies the Lua scripts that src/log/redis/script.ts loads, and makes the command one that can be
// started by its path, which is how npx finds it in a checkout.
import { chmodSync, cpSync } from 'node:fs';
import { join } from 'node:path';

const target = process.argv[2];
if (target === undefined) throw new Error('usage: copy-assets.mjs <compiled src folder>');
cpSync(join('src', 'log', 'scripts'), join(target, 'log', 'scripts'), { recursive: true });
chmodSync(join(target, 'cli', 'main.js'), 0o755);
