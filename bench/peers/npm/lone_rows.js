// Commits one row, waits until a consumer has its message, pauses, and again: the time from the
// answer to COMMIT until the delivery, for a relay that has nothing else to do.
//
//   node lone_rows.js ROWS 'INSERT …'
//
// Environment: DATABASE_URL, AMQP_URL, QUEUE. Prints a JSON array of milliseconds.
const amqp = require('amqplib');
const { Client } = require('pg');
const { setTimeout: pause } = require('node:timers/promises');

const [rows, insert] = process.argv.slice(2);

async function main() {
  const database = new Client({ connectionString: process.env.DATABASE_URL });
  await database.connect();
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  let delivered;
  await channel.consume(process.env.QUEUE, () => delivered(performance.now()), { noAck: true });
  const took = [];
  for (let n = 0; n < rows; ++n) {
    // Of a length that keeps no step with anybody's interval.
    await pause(100 + 150 * ((n * 0.618) % 1));
    const delivery = new Promise((resolve) => (delivered = resolve));
    await database.query(insert);
    const committed = performance.now();
    took.push(Math.max(0, (await delivery) - committed));
  }
  console.log(JSON.stringify(took));
  await connection.close();
  await database.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
