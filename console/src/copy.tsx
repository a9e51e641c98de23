/** A button that copies a text, and says so. */
import { useEffect, useState } from 'preact/hooks';

const SAID_MS = 1500;

export function Copy({ label, text }: { readonly label: string; readonly text: string }) {
  const [isSaid, setSaid] = useState(false);
  useEffect(() => {
    if (!isSaid) return undefined;
    const timer = setTimeout(() => setSaid(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [isSaid]);
  const copy = (): void => {
    write(text).then(
      () => setSaid(true),
      () => undefined,
    );
  };
  return (
    <button type="button" onClick={copy}>
      <span aria-live="polite">{isSaid ? 'Copied' : label}</span>
    </button>
  );
}

/** Browsers have a clipboard only for pages that came encrypted or from the own machine. */
async function write(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}
