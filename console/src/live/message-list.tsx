/**
 * The list of messages: however many there are, only those that can be seen are in the document. All rows are of one
 * height. While nothing holds it, it stays at its end; scrolling, selecting or the space bar hold it.
 */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { clock } from '../format.ts';
import { gapText } from './live-session.ts';
import type { Row, Scrollback } from './scrollback.ts';

const ROW_PX = 24;
/** Beyond what is seen, so that a scroll shows no hole. */
const SPARE_ROWS = 6;
/** Of a message, on its line. */
const MAX_PREVIEW = 500;
/** A scroll so soon after a hand was on the list is one that somebody wants. */
const HAND_MS = 800;

const NOTHING_YET = 'Nothing came yet. Publish something, or start further back.';
const NOTHING_FOUND = 'Nothing that is held has this text.';

export interface MessageListOptions {
  readonly scrollback: Scrollback;
  readonly isShown: boolean;
  readonly selected: Row | null;
  readonly onSelect: (row: Row | null) => void;
}

export function MessageList({ scrollback, isShown, selected, onSelect }: MessageListOptions) {
  const box = useRef<HTMLDivElement>(null);
  useFrames(scrollback, isShown);
  const { height, hand, scrolled } = useScroll(scrollback, box);
  const rows = scrollback.shown;
  useLayoutEffect(() => {
    if (!scrollback.isPaused && box.current !== null) box.current.scrollTop = rows.length * ROW_PX;
  });
  const fits = Math.ceil(height / ROW_PX);
  // Asked for, since it is held without a scroll, too.
  const from = scrollback.isPaused ? Math.floor((box.current?.scrollTop ?? 0) / ROW_PX) : rows.length - fits;
  const first = Math.max(0, Math.min(from, rows.length - fits) - SPARE_ROWS);
  const visible = rows.slice(first, first + fits + 2 * SPARE_ROWS + 1);
  const select = (row: Row): void => {
    scrollback.pause();
    onSelect(row);
  };
  const pressed = (event: KeyboardEvent): void => {
    hand();
    const next = rowAfterKey(event.key, rows, selected, fits);
    if (event.key === 'Escape') onSelect(null);
    else if (event.key === ' ') scrollback.toggle();
    else if (next !== null && box.current !== null) {
      select(rows[next] as Row);
      show(box.current, next);
    } else return;
    event.preventDefault();
  };
  return (
    <div
      ref={box}
      class="list"
      tabIndex={0}
      role={rows.length === 0 ? 'region' : 'listbox'}
      aria-label="Messages, the newest last"
      aria-activedescendant={
        visible.some((row) => row.no === selected?.no) ? `row-${selected?.no}` : undefined
      }
      aria-keyshortcuts="Space ArrowUp ArrowDown Escape"
      onScroll={scrolled}
      onWheel={hand}
      onTouchMove={hand}
      onPointerDown={hand}
      onKeyDown={pressed}
    >
      <div role="presentation" class="reel" style={{ height: `${rows.length * ROW_PX}px` }}>
        <div role="presentation" style={{ transform: `translateY(${first * ROW_PX}px)` }}>
          {visible.map((row, at) => (
            <Line key={at} row={row} isSelected={row.no === selected?.no} onSelect={select} />
          ))}
        </div>
      </div>
      {rows.length === 0 && <p class="empty">{scrollback.size === 0 ? NOTHING_YET : NOTHING_FOUND}</p>}
    </div>
  );
}

interface LineOptions {
  readonly row: Row;
  readonly isSelected: boolean;
  readonly onSelect: (row: Row) => void;
}

function Line({ row, isSelected, onSelect }: LineOptions) {
  const isGap = 'gap' in row;
  return (
    <div
      id={`row-${row.no}`}
      class={isGap ? 'row gap' : 'row'}
      role="option"
      aria-selected={isSelected}
      onClick={() => onSelect(row)}
    >
      <span class="time">{isGap ? 'Gap' : clock(row.time)}</span>
      <span class="text">{isGap ? gapText(row.gap) : row.text.slice(0, MAX_PREVIEW)}</span>
      <span class="id">{isGap ? '' : row.id}</span>
    </div>
  );
}

/** Where the list stands, and what a hand on it does: a scroll away from the end holds it. */
function useScroll(scrollback: Scrollback, box: { readonly current: HTMLElement | null }) {
  const handMs = useRef(0);
  const [height, setHeight] = useState(0);
  const [, redraw] = useState<unknown>(null);
  useHeight(box, setHeight);
  const hand = (): void => {
    handMs.current = performance.now();
  };
  const scrolled = (event: { readonly currentTarget: HTMLElement }): void => {
    const { scrollTop: top, scrollHeight, clientHeight } = event.currentTarget;
    const isHeld = performance.now() - handMs.current < HAND_MS;
    if (!scrollback.isPaused && isHeld && scrollHeight - clientHeight - top > 2 * ROW_PX) scrollback.pause();
    if (scrollback.isPaused) redraw({});
  };
  return { height, hand, scrolled };
}

/** Draws again with each frame on which something changed, while it is seen. */
function useFrames(scrollback: Scrollback, isShown: boolean): void {
  const [, redraw] = useState<unknown>(null);
  useEffect(() => {
    if (!isShown) return undefined;
    redraw({});
    return scrollback.listen(() => redraw({}));
  }, [scrollback, isShown]);
}

function useHeight(box: { readonly current: HTMLElement | null }, changed: (height: number) => void): void {
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const watcher = new ResizeObserver(() => changed(element.clientHeight));
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);
}

/** The place that a key leads to; null: it leads nowhere. */
function rowAfterKey(key: string, rows: readonly Row[], selected: Row | null, page: number): number | null {
  const last = rows.length - 1;
  if (last < 0) return null;
  const steps: Readonly<Record<string, number>> = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: page,
    PageUp: -page,
    Home: Number.NEGATIVE_INFINITY,
    End: Number.POSITIVE_INFINITY,
  };
  const step = steps[key];
  if (step === undefined) return null;
  const from = selected === null ? rows.length : placeOf(rows, selected.no);
  return Math.max(0, Math.min(last, from + step));
}

/** By halves: rows are in the order of their numbers. */
function placeOf(rows: readonly Row[], no: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rows[middle] as Row).no < no) low = middle + 1;
    else high = middle;
  }
  return low;
}

function show(box: HTMLElement, at: number): void {
  const top = at * ROW_PX;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + ROW_PX > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW_PX - box.clientHeight;
}
