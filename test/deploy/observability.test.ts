/** The dashboard and the alerts: what they ask for exists, in a language that Prometheus understands. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scrape } from '../support/metrics.ts';
import { TestServer } from '../support/running-server.ts';
import { tempDir } from '../support/temp-dir.ts';

const RULES = 'deploy/prometheus/rules.yml';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly w: number };
  readonly targets?: readonly { readonly expr: string }[];
}

interface Dashboard {
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: unknown }[] };
}

function promtool(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
  return stdout;
}

const dashboard = JSON.parse(readFileSync('deploy/grafana/rivercast.json', 'utf8')) as Dashboard;
const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

test('the alerts are well-formed, and each of them fires and stays silent in its own test', () => {
  assert.match(promtool('check', 'rules', RULES), /SUCCESS/);
  promtool('test', 'rules', 'deploy/prometheus/rules.test.yml');
  const tests = readFileSync('deploy/prometheus/rules.test.yml', 'utf8');
  const alerts = [...readFileSync(RULES, 'utf8').matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);
  assert.ok(alerts.length > 10);
  for (const name of alerts) assert.ok(tests.includes(`alertname="${name}"`), `${name} has no test`);
});

test('every query of the dashboard is one', async (t) => {
  const rules = queries.map((expr, at) => {
    const plain = expr
      .replaceAll('$__rate_interval', '5m')
      .replaceAll('$job', 'j')
      .replaceAll('$instance', 'i');
    return { record: `query:${at}`, expr: plain };
  });
  assert.ok(rules.length > 50);
  const file = join(await tempDir(t), 'queries.yml');
  // What is JSON is YAML too.
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
  promtool('check', 'rules', '--lint=none', file);
});

test('the dashboard has a row for each concern, panels of their own, and no two at one place', () => {
  const rows = dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title);
  assert.deepEqual(rows, ['Traffic', 'Latency', 'Subscribers and lag', 'Log', 'Process', 'Refusals']);
  assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
  assert.equal(
    new Set(dashboard.panels.map(({ gridPos }) => JSON.stringify(gridPos))).size,
    dashboard.panels.length,
  );
  for (const { gridPos } of dashboard.panels) assert.ok(gridPos.x + gridPos.w <= 24);
});

test('every metric that the dashboard or an alert names is one that a server has', async () => {
  await using server = await TestServer.start();
  const { types } = await scrape(server);
  const known = new Set(types.keys());
  const variables = JSON.stringify(dashboard.templating.list);
  const alerts = readFileSync(RULES, 'utf8');
  const sources = { dashboard: [...queries, variables].join('\n'), alerts };
  for (const [source, text] of Object.entries(sources)) {
    const names = new Set(text.match(/\b(?:rivercast|process|nodejs)_[a-z_]+/g));
    assert.ok(names.size > 10);
    for (const name of names) {
      const histogram = name.replace(/_(?:bucket|sum|count)$/, '');
      assert.ok(known.has(name) || types.get(histogram) === 'histogram', `${source} names ${name}`);
    }
  }
});
