/**
 * The documentation as a site: the same files as on a code host, with navigation and search. `npm run docs:site` writes it
 * into build/site, and fails on a link to a page or heading that is not there. Files outside of docs that a page links
 * to are copied beside it, under files/.
 */
import { copyFileSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { defineConfig } from 'vitepress';

const DOCS = new URL('..', import.meta.url).pathname;
const linked = new Set();

/** In the navigation. */
const shown = new Set();

/** Throws when there is no such page. */
function pages(...rows) {
  return rows.map(([text, file]) => {
    if (!existsSync(join(DOCS, `${file}.md`))) throw new Error(`the navigation names docs/${file}.md`);
    shown.add(`${file}.md`);
    return { text, link: file === 'quick-start' ? '/' : `/${file}` };
  });
}

export default defineConfig({
  title: 'Rivercast',
  description:
    'A durable real-time broadcast server: every message is stored, and reaches every subscriber in order.',
  outDir: '../build/site',
  cacheDir: '../build/site-cache',
  cleanUrls: false,
  lastUpdated: false,
  rewrites: { 'quick-start.md': 'index.md' },
  markdown: { config: linkFilesOutside },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Quick start', link: '/' },
      { text: 'Concepts', link: '/concepts' },
      { text: 'Recipes', link: '/recipes' },
      { text: 'Protocol', link: '/protocol' },
    ],
    sidebar: [
      {
        text: 'Begin',
        items: pages(
          ['Quick start', 'quick-start'],
          ['Concepts', 'concepts'],
          ['Publish and subscribe', 'publish-and-subscribe'],
          ['Recipes', 'recipes'],
          ['Coming from elsewhere', 'migration'],
        ),
      },
      {
        text: 'Use',
        items: pages(
          ['The client', 'client'],
          ['Command line', 'cli'],
          ['Console', 'console'],
          ['Embedding', 'embedding'],
          ['Protocol', 'protocol'],
          ['Contracts', 'contracts'],
        ),
      },
      {
        text: 'Run',
        items: pages(
          ['Operations', 'operations'],
          ['Sizing', 'sizing'],
          ['Configuration', 'configuration'],
          ['Behind a proxy', 'proxies'],
          ['Metrics', 'metrics'],
          ['Upgrading', 'upgrading'],
        ),
      },
      {
        text: 'Judge',
        items: pages(
          ['Guarantees', 'guarantees'],
          ['Architecture', 'architecture'],
          ['Benchmarks', 'benchmarks'],
          ['Compared with others', 'comparison'],
        ),
      },
    ],
  },
  buildEnd({ outDir, pages: built }) {
    const hidden = built.filter((file) => !shown.has(file));
    if (hidden.length > 0) throw new Error(`not in the navigation: ${hidden.join(', ')}`);
    for (const file of linked) {
      const target = join(outDir, 'files', file);
      mkdirSync(dirname(target), { recursive: true });
      copyFileSync(join(DOCS, '..', file), target);
    }
  },
});

/** `../deploy/x` is no page: it becomes `files/deploy/x`. A folder is named, and no link. */
function linkFilesOutside(md) {
  md.core.ruler.push('files-outside', ({ tokens, env, Token }) => {
    for (const { children } of tokens) {
      let isOurs = false;
      children?.forEach((token, index) => {
        const href = token.attrGet?.('href') ?? '';
        if (token.type === 'link_open') isOurs = href.startsWith('../');
        if (!isOurs || !token.type.startsWith('link_')) return;
        const inPlace = new Token('html_inline', '', 0);
        inPlace.content = token.type === 'link_open' ? opening(href, env.relativePath) : '</a>';
        children[index] = inPlace;
      });
    }
  });
}

function opening(href, page) {
  const file = join('docs', dirname(page), href);
  const path = join(DOCS, '..', file);
  if (!existsSync(path)) throw new Error(`${page} links to ${href}`);
  if (statSync(path).isDirectory()) return '<a>';
  linked.add(file);
  return `<a href="./files/${file}" target="_blank">`;
}
