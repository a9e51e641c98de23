/** Every question, in the order they run. */
import type { Answer, Bench } from '../answer.ts';
import { throughput } from './throughput.ts';

export const QUESTIONS: Readonly<Record<string, (bench: Bench) => Promise<Answer>>> = { throughput };
