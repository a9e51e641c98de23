/** One chart of the last five minutes. What it shows is said in words as well. */
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useStore } from '../store.ts';
import { theme } from '../theme.ts';
import { type Numbers, numbers } from './history.ts';
import type { Column } from './process.ts';

export interface Line {
  /** The half of the server that has it; absent: both. */
  readonly of?: 'manager' | 'broadcaster';
  readonly column: Column;
  readonly label: string;
  /** The name of a custom property of the style sheet. */
  readonly colour: '--line-1' | '--line-2';
}

export interface ChartOptions {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** The scale goes up to this at least, so that what is next to nothing looks like it. */
  readonly least: number;
}

const HEIGHT = 132;
const PADDING_PX = 8;
/** How wide the time at a tick is. */
const TIME_PX = 54;
/** A page that was just opened does not stretch what it has over the whole width. */
const LEAST_SECONDS = 60;

export function Chart(options: ChartOptions) {
  const { title, lines, format } = options;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const shade = useStore(theme);
  const { columns, now } = useStore(numbers);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const made = new UPlot(optionsOf(element, options), rowsOf(numbers.get(), lines), element);
    plot.current = made;
    const watcher = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      made.destroy();
    };
  }, [shade]);
  useEffect(() => plot.current?.setData(rowsOf(numbers.get(), lines)), [columns]);
  const valueOf = (column: Column): string => {
    const value = now?.[column] ?? null;
    return value === null ? '–' : format(value);
  };
  const words = lines.map(({ label, column }) => `${label} ${valueOf(column)}`).join(', ');
  return (
    <section class="card chart">
      <header>
        <h2>{title}</h2>
        <ul class="legend">
          {lines.map(({ label, column, colour }) => (
            <li key={column}>
              <i class={`swatch ${colour.slice(2)}`} />
              {label} <b>{valueOf(column)}</b>
            </li>
          ))}
        </ul>
      </header>
      <div ref={place} class="plot" role="img" aria-label={`${title}, the last minutes; now: ${words}`} />
    </section>
  );
}

function rowsOf({ columns }: Numbers, lines: readonly Line[]): UPlot.AlignedData {
  return [columns.time, ...lines.map(({ column }) => columns[column])] as unknown as UPlot.AlignedData;
}

function optionsOf(element: HTMLElement, { lines, format, least }: ChartOptions): UPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colourOf = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colourOf('--muted'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colourOf('--grid'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [PADDING_PX, PADDING_PX, 0, 0],
    cursor: { show: false },
    legend: { show: false },
    scales: {
      x: { time: true, range: (_plot, min, max) => [Math.min(min, max - LEAST_SECONDS), max] },
      y: { range: (_plot, _min, max) => [0, Math.max(least, (max ?? 0) * 1.15)] },
    },
    axes: [
      { ...axis, size: 24, space: 64, values: (plot, ticks) => ticks.map((tick) => timeAt(plot, tick)) },
      { ...axis, size: 56, space: 28, values: (_plot, ticks) => ticks.map(format) },
    ],
    series: [
      {},
      ...lines.map(({ label, colour }) => ({
        label,
        stroke: colourOf(colour),
        width: 1.5,
        fill: colourOf(`${colour}-fill`),
        points: { show: false },
      })),
    ],
  };
}

/** None where it would be cut at the edge. */
function timeAt(plot: UPlot, seconds: number): string {
  const roomPx = plot.over.clientWidth - plot.valToPos(seconds, 'x');
  return roomPx < TIME_PX / 2 - PADDING_PX ? '' : clockOf(seconds);
}

function clockOf(seconds: number): string {
  const time = new Date(seconds * 1000);
  return [time.getHours(), time.getMinutes(), time.getSeconds()]
    .map((part) => `${part}`.padStart(2, '0'))
    .join(':');
}
