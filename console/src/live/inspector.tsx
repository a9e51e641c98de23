/** One message, whole. */
import { Copy } from '../copy.tsx';
import { clock, count, size } from '../format.ts';
import { JsonText } from './json-text.tsx';
import { gapText } from './live-session.ts';
import type { MessageRow, Row } from './scrollback.ts';

export interface InspectorOptions {
  readonly row: Row;
  readonly onClose: () => void;
  readonly onFollow: (after: string) => void;
}

export function Inspector({ row, onClose, onFollow }: InspectorOptions) {
  const isGap = 'gap' in row;
  const cursor = isGap ? row.gap.cursor : row.cursor;
  return (
    <section class="card inspector" aria-label="The selected message">
      <header>
        <h2>{isGap ? 'Gap' : 'Message'}</h2>
        <button type="button" class="icon" aria-label="Close the message" onClick={onClose}>
          <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
            <path d="M3 3l10 10M13 3L3 13" stroke="currentColor" stroke-width="1.6" />
          </svg>
        </button>
      </header>
      {isGap ? <p>{gapText(row.gap)}.</p> : <Facts row={row} />}
      {!isGap && <JsonText text={row.text} isJson={row.kind === 'json'} />}
      <div class="buttons">
        {!isGap && <Copy label="Copy id" text={row.id} />}
        <Copy label="Copy cursor" text={cursor} />
        {!isGap && <Copy label="Copy content" text={row.text} />}
        <button type="button" onClick={() => onFollow(cursor)}>
          Follow from here
        </button>
      </div>
    </section>
  );
}

function Facts({ row }: { readonly row: MessageRow }) {
  const bytes =
    row.kind === 'binary' ? Math.ceil(row.text.length / 3) : new TextEncoder().encode(row.text).length;
  return (
    <dl class="facts">
      <div>
        <dt>Id</dt>
        <dd class="mono">{row.id}</dd>
      </div>
      <div>
        <dt>Stored</dt>
        <dd>
          {new Date(row.time).toLocaleDateString('en-GB')} {clock(row.time)}
        </dd>
      </div>
      <div>
        <dt>Content</dt>
        <dd title={`${count(bytes)} bytes`}>
          {row.kind}, {size(bytes)}
        </dd>
      </div>
    </dl>
  );
}
