/**
 * Does something for each message of a channel, and remembers in a file how far it is: however often it is killed, none
 * is left out. The one that was being dealt with at that moment comes again.
 *
 *   node examples/worker.js <channel> <file> [server]
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'rivercast/client';
import { WebSocket } from 'ws';

const [channel = 'orders', file = 'cursor', server = 'http://127.0.0.1:3000'] = process.argv.slice(2);

/** As the client asks for it: `save` is called when a message was dealt with. */
const place = {
  load: () => (existsSync(file) ? readFileSync(file, 'utf8') : 'earliest'),
  save(cursor) {
    // By another name first: a crash leaves the old one or the new one, and never a half.
    writeFileSync(`${file}.new`, cursor);
    renameSync(`${file}.new`, file);
  },
};

async function work({ id, data }) {
  // Yours. Make it idempotent by the id: after a crash a message may come a second time.
  console.log(id, JSON.stringify(data));
}

const river = connect(server, { WebSocket });
process.on('SIGTERM', () => river.close());

try {
  for await (const message of river.subscribe(channel, { after: place, onGap: warn })) await work(message);
} catch (error) {
  if (error.code !== 'closed') throw error;
}

function warn({ lost, reason }) {
  console.error(`${lost ?? 'some'} messages are gone: ${reason}`);
}
