/**
 * Bars as an SVG picture for the documentation: no library, no script, and its own light and dark colours, since it
 * is shown on pages of either kind.
 */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** What is written beside the bar. */
  readonly text: string;
}

export interface BarGroup {
  /** Empty when the chart has only one. */
  readonly label: string;
  readonly bars: readonly Bar[];
}

export interface Chart {
  /** Its name in docs/benchmarks, without `.svg`. */
  readonly file: string;
  readonly title: string;
  /** What the length of a bar means. */
  readonly axis: string;
  /** For values that are orders of magnitude apart. */
  readonly logarithmic?: boolean;
  readonly groups: readonly BarGroup[];
}

const WIDTH = 760;
const MARGIN = 20;
const LABEL_WIDTH = 190;
const VALUE_WIDTH = 90;
const BAR_HEIGHT = 18;
const BAR_GAP = 5;
const GROUP_GAP = 14;
const GROUP_LABEL_HEIGHT = 20;
const HEAD_HEIGHT = 62;
const BARS_WIDTH: number = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH;
/** So that the smallest of a logarithmic chart has a bar at all. */
const LOG_ROOM = 0.6;

const STYLE = `
    .page { fill: #ffffff } .text { fill: #1f2328 } .quiet { fill: #59636e }
    .own { fill: #1a7f5a } .door { fill: #57b894 } .floor { fill: #b4bcc5 } .other { fill: #4a7ab8 }
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
    .title { font-size: 16px; font-weight: 600 } .group { font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117 } .text { fill: #e6edf3 } .quiet { fill: #9198a1 }
      .own { fill: #3fb984 } .door { fill: #2b7d5b } .floor { fill: #59636e } .other { fill: #5b8fd4 }
    }`;

export function svgOf(chart: Chart): string {
  const scale = scaleOf(chart);
  const parts: string[] = [];
  let y = HEAD_HEIGHT;
  for (const { label, bars } of chart.groups) {
    if (label !== '') {
      parts.push(text({ x: MARGIN, y: y + 13, style: 'text group' }, label));
      y += GROUP_LABEL_HEIGHT;
    }
    for (const bar of bars) {
      parts.push(barOf(bar, y, scale(bar.value)));
      y += BAR_HEIGHT + BAR_GAP;
    }
    y += GROUP_GAP;
  }
  const height = y + MARGIN - GROUP_GAP;
  const described = chart.groups
    .flatMap(({ label, bars }) => bars.map((bar) => `${label} ${bar.label}: ${bar.text}`.trim()))
    .join('; ');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(chart.title)}">`,
    `  <desc>${escaped(described)}</desc>`,
    `  <style>${STYLE}\n  </style>`,
    `  <rect class="page" width="${WIDTH}" height="${height}" rx="6"/>`,
    text({ x: MARGIN, y: 28, style: 'text title' }, chart.title),
    text({ x: MARGIN, y: 48, style: 'quiet' }, chart.axis),
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** How long the bar of a value is. */
function scaleOf({ groups, logarithmic = false }: Chart): (value: number) => number {
  const values = groups.flatMap(({ bars }) => bars.map(({ value }) => value)).filter((value) => value > 0);
  const most = Math.max(...values);
  if (!logarithmic) return (value) => (BARS_WIDTH * value) / most;
  const low = Math.log10(Math.min(...values)) - LOG_ROOM;
  const span = Math.log10(most) - low;
  return (value) => (value > 0 ? (BARS_WIDTH * (Math.log10(value) - low)) / span : 0);
}

function barOf({ label, text: value, ...bar }: Bar, y: number, length: number): string {
  const x = MARGIN + LABEL_WIDTH;
  const width = Math.max(1, Number.isFinite(bar.value) ? length : 1).toFixed(1);
  const middle = y + BAR_HEIGHT - 5;
  return [
    text({ x: x - 8, y: middle, style: 'text', anchor: 'end' }, label),
    `  <rect class="${styleOf(label)}" x="${x}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
    text({ x: x + Number(width) + 6, y: middle, style: 'quiet' }, value),
  ].join('\n');
}

function styleOf(label: string): string {
  if (label === 'Rivercast') return 'own';
  if (label.startsWith('Rivercast')) return 'door';
  return /^(floor|bare)/.test(label) ? 'floor' : 'other';
}

interface TextStyle {
  readonly x: number;
  readonly y: number;
  readonly style: string;
  readonly anchor?: string;
}

function text({ x, y, style, anchor = 'start' }: TextStyle, content: string): string {
  return `  <text class="${style}" x="${x}" y="${y}" text-anchor="${anchor}">${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
