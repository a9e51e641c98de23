/** How numbers, times and sizes are written. */

const WHOLE = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

export function count(value: number): string {
  return WHOLE.format(value);
}

export function rate(value: number): string {
  return value < 10 ? TENTHS.format(value) : WHOLE.format(value);
}

export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let at = 0;
  let value = bytes;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${at === 0 ? WHOLE.format(value) : TENTHS.format(value)} ${units[at]}`;
}

/** `ms`: how long. */
export function span(ms: number): string {
  if (ms < 1) return ms <= 0 ? '0 ms' : '<1 ms';
  if (ms < 1000) return `${WHOLE.format(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${TENTHS.format(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

/** To the millisecond, in the reader's zone. */
export function clock(ms: number): string {
  return CLOCK.format(ms);
}

/** Of today the time alone. */
export function moment(ms: number): string {
  const time = clock(ms).slice(0, 8);
  return new Date(ms).toDateString() === new Date().toDateString() ? time : `${DAY.format(ms)}, ${time}`;
}

/** The time in an id; null: it has none. */
export function idTime(id: string | null): number | null {
  const ms = Number(id?.slice(0, id.indexOf('-')) ?? 0);
  return ms > 0 ? ms : null;
}
