#!/usr/bin/env node
/** What `rivercast` begins with, and `node dist/cli/main.js`. Nothing is loaded before it is said how memory is used. */
import { keepYoungGenerationSmall } from './young-generation.ts';

keepYoungGenerationSmall();
await import('./command-line.ts');
