/** A text as it is to be read: JSON with its lines and colours, anything else as it is. Never as markup. */

/** Beyond it colours cost more than they help, and then the text itself. */
const MAX_COLOURED = 100_000;
const MAX_SHOWN = 500_000;

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

export function JsonText({ text, isJson }: { readonly text: string; readonly isJson: boolean }) {
  const shown = isJson ? pretty(text) : text;
  const cut =
    shown.length > MAX_SHOWN
      ? `${shown.slice(0, MAX_SHOWN)}\n… and ${shown.length - MAX_SHOWN} characters more`
      : shown;
  return (
    <pre class="content" tabIndex={0} aria-label="Content of the message">
      {isJson && shown.length <= MAX_COLOURED ? coloured(cut) : cut}
    </pre>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function coloured(text: string) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, quoted, colon] = match;
    parts.push(text.slice(from, match.index));
    from = match.index + whole.length;
    if (quoted !== undefined && colon !== undefined) {
      parts.push(<span class="name">{quoted}</span>, colon);
    } else parts.push(<span class={quoted === undefined ? 'value' : 'string'}>{whole}</span>);
  }
  parts.push(text.slice(from));
  return parts;
}
