// Copies what the compiler does not: the Lua scripts that src/log/redis/script.ts loads.
import { cpSync } from 'node:fs';
import { join } from 'node:path';

const target = process.argv[2];
if (target === undefined) throw new Error('usage: copy-assets.mjs <compiled src folder>');
cpSync(join('src', 'log', 'scripts'), join(target, 'log', 'scripts'), { recursive: true });
