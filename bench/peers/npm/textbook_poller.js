// The relay that every introduction to the pattern sketches: lock a batch, publish it, wait for the
// broker, mark it, commit. Two ways of waiting: after each message, or once for the batch.
//
//   node textbook_poller.js each|batch
//
// Environment: DATABASE_URL, AMQP_URL, BATCH (rows), INTERVAL_MS (pause when there is nothing).
const amqp = require('amqplib');
const { Client } = require('pg');
const { setTimeout: pause } = require('node:timers/promises');

const [wait] = process.argv.slice(2);
const { DATABASE_URL, AMQP_URL, BATCH, INTERVAL_MS } = process.env;

async function main() {
  const database = new Client({ connectionString: DATABASE_URL });
  await database.connect();
  const connection = await amqp.connect(AMQP_URL, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  const returned = new Set();
  channel.on('return', (message) => returned.add(message.properties.messageId));

  for (;;) {
    await database.query('BEGIN');
    const { rows } = await database.query({
      name: 'next',
      text: `SELECT id, routing_key, payload FROM peer_textbook.outbox
             WHERE sent_at IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED`,
      values: [BATCH],
    });
    for (const { id, routing_key, payload } of rows) {
      channel.publish('', routing_key, Buffer.from(payload), {
        persistent: true,
        mandatory: true,
        messageId: id,
      });
      if (wait === 'each') await channel.waitForConfirms();
    }
    await channel.waitForConfirms(); // rejects when one of them was nacked
    if (returned.size > 0) throw new Error(`${returned.size} messages were returned`);
    await database.query({
      name: 'mark',
      text: 'UPDATE peer_textbook.outbox SET sent_at = now() WHERE id = ANY($1)',
      values: [rows.map((row) => row.id)],
    });
    await database.query('COMMIT');
    if (rows.length === 0) await pause(Number(INTERVAL_MS));
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
