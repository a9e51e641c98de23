/** What chaos starts ends with it, however it ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { within } from '../support/within.ts';

const PROCESSES = new URL('../../chaos/processes.js', import.meta.url).href;

test('an exception that nobody caught leaves no process behind', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const child = { args: ['-e', `require('node:net').connect(${port}, '127.0.0.1')`], log: '/dev/null' };
  const script = `
    import { startChild } from ${JSON.stringify(PROCESSES)};
    startChild(process.execPath, ${JSON.stringify(child)});
    process.stdin.once('data', () => {
      throw new Error('nobody catches this');
    });
  `;
  const run = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  t.after(() => run.kill('SIGKILL'));
  const [socket] = (await within('the process it started', once(server, 'connection'))) as [Socket];
  // One that lives on ends when its connection does.
  t.after(() => socket.destroy());
  // Killed, it may reset the connection.
  socket.on('error', () => undefined).resume();
  const gone = new Promise((resolve) => socket.once('close', resolve));
  const ended = once(run, 'exit');
  run.stdin.write('now');
  assert.deepEqual(await within('its end', ended), [1, null]);
  await within('the end of the process it started', gone);
});
