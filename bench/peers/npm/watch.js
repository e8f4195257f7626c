// Looks at a queue from outside, the same way whoever fills it: the number of ready messages, by
// passive declares. Says when the first are there and when all are.
//
//   node watch.js ROWS
//
// Environment: AMQP_URL, QUEUE. Prints a line when it begins to look, then two lines of JSON:
// {depth, at}, where at is in seconds of the monotonic clock.
const amqp = require('amqplib');
const { setTimeout: pause } = require('node:timers/promises');

const rows = Number(process.argv[2]);

async function main() {
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  const say = (depth) => console.log(JSON.stringify({ depth, at: Number(process.hrtime.bigint()) / 1e9 }));
  console.log('watching');
  let begun = false;
  for (;;) {
    const { messageCount } = await channel.checkQueue(process.env.QUEUE);
    if (!begun && messageCount > 0) {
      say(messageCount);
      begun = true;
    }
    if (messageCount >= rows) {
      say(messageCount);
      break;
    }
    await pause(10);
  }
  await connection.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
