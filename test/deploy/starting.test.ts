/** However a server is started, Node is told the same: docs/operations.md says why, under Few cores. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const FLAG = '--v8-pool-size=1';
const STARTED_BY: Readonly<Record<string, RegExp>> = {
  Makefile: /^SERVE = node (.*) dist\/cli\/main\.js serve$/m,
  'package.json': /"start": "node (.*) dist\/cli\/main\.js serve"/,
  Dockerfile: /^ENTRYPOINT \["node", "(.*)", "dist\/cli\/main\.js"\]$/m,
  'deploy/systemd/rivercast.service': /^Environment=NODE_OPTIONS=(.*)$/m,
  'docs/operations.md': /`NODE_OPTIONS=(.*?)`/,
};

for (const [file, start] of Object.entries(STARTED_BY)) {
  test(`${file} starts it with one helper thread of V8`, () => {
    assert.equal(start.exec(readFileSync(file, 'utf8'))?.[1], FLAG);
  });
}
