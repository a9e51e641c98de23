/**
 * Publishes prices that nobody should believe: something for ticker.html to show.
 *
 *   node examples/prices.js [server]
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'rivercast/client';
import { WebSocket } from 'ws';

const [server = 'http://127.0.0.1:3000'] = process.argv.slice(2);
const river = connect(server, { WebSocket });
const prices = { ALFA: 100, BRAVO: 20, CHARLIE: 7 };

for (;;) {
  for (const symbol of Object.keys(prices)) {
    prices[symbol] *= 1 + (Math.random() - 0.5) / 100;
    await river.publish('prices', { symbol, price: prices[symbol] });
  }
  await delay(100);
}
