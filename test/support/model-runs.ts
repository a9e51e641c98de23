/**
 * How much the models try, and what. In `make test` they try the same each time, so that what fails there was made to
 * fail by a change; `npm run test:model` tries more, and something else each time.
 */
import { randomInt } from 'node:crypto';

export const IS_LONG: boolean = process.env['MODEL_RUNS'] === 'long';
const USUAL_SEED = 20_261_126;
export const SEED: number = Number(process.env['MODEL_SEED'] ?? (IS_LONG ? randomInt(2 ** 31) : USUAL_SEED));
