/**
 * What can be done here. The page knows the role of the process that it came from. Where that lacks a door, a proxy may
 * have another process behind it: it is asked for before anybody is told that there is none.
 */
import { BASE } from './route.ts';
import { Store } from './store.ts';

export interface Doors {
  /** Messages are delivered. */
  readonly follows: boolean;
  /** Messages are taken in. */
  readonly publishes: boolean;
}

const ROLE = document.documentElement.dataset['role'];

export const doors = new Store<Doors>({
  follows: ROLE !== 'manager',
  publishes: ROLE !== 'broadcaster',
});

export async function lookForDoors(): Promise<void> {
  const { follows, publishes } = doors.get();
  doors.set({
    follows: follows || (await isThere('/ws/broadcast')),
    publishes: publishes || (await isThere('/ws/manager')),
  });
}

/** Whoever comes to a door without a WebSocket is told so; a proxy whose process is away says that. */
async function isThere(path: string): Promise<boolean> {
  try {
    return (await fetch(`${BASE}${path}`)).status !== 404;
  } catch {
    return false;
  }
}
