// pg-transactional-outbox, as its README shows it: a listener (polling or replication) with a
// message handler that publishes. The handler returns once the broker has confirmed.
//
//   node pg_transactional_outbox.js setup polling|replication     the SQL of its own DatabaseSetup
//   node pg_transactional_outbox.js run polling|replication       until SIGTERM
//
// Environment: DATABASE_URL, AMQP_URL, QUEUE, and what it is tuned by: PARALLEL (messages at once),
// INTERVAL_MS (between two polls).
const amqp = require('amqplib');
const outbox = require('pg-transactional-outbox');

const [verb, listener] = process.argv.slice(2);
const { DATABASE_URL, AMQP_URL, QUEUE, PARALLEL, INTERVAL_MS } = process.env;
const parallel = Number(PARALLEL);
const names = {
  outboxOrInbox: 'outbox',
  database: 'unused',
  schema: 'peer_pgtrx',
  table: 'outbox',
  listenerRole: 'current_user',
  publication: 'peer_pgtrx',
  replicationSlot: 'peer_pgtrx',
  nextMessagesName: 'next_outbox_messages',
};

function setup() {
  const { dropAndCreateTable, createPollingFunction, setupPollingIndexes } = outbox.DatabaseSetup;
  console.log(dropAndCreateTable(names));
  if (listener === 'polling') console.log(createPollingFunction(names), setupPollingIndexes(names));
}

async function publisher() {
  const connection = await amqp.connect(AMQP_URL, { noDelay: true });
  const channel = await connection.createConfirmChannel();
  const lost = (error) => {
    console.error(error);
    process.exit(1);
  };
  connection.on('error', lost);
  channel.on('error', lost);
  channel.on('return', () => lost(new Error('a message was returned')));
  return {
    handle: (message) =>
      new Promise((resolve, reject) => {
        channel.publish(
          '',
          QUEUE,
          Buffer.from(JSON.stringify(message.payload)),
          {
            persistent: true,
            mandatory: true,
            messageId: message.id,
            contentType: 'application/json',
          },
          (error) => (error ? reject(error) : resolve()),
        );
      }),
  };
}

async function run() {
  const handler = await publisher();
  const logger = outbox.getDisabledLogger();
  // Without the messages themselves, which it hands over too.
  logger.warn = (...what) =>
    console.error(...what.filter((each) => typeof each === 'string' || each instanceof Error));
  logger.error = logger.fatal = logger.warn;
  const config = {
    outboxOrInbox: 'outbox',
    dbListenerConfig: { connectionString: DATABASE_URL, max: parallel },
    dbHandlerConfig: { connectionString: DATABASE_URL, max: parallel },
    settings: {
      dbSchema: names.schema,
      dbTable: names.table,
      // Both are off in its example of an outbox: each costs an UPDATE a message.
      enableMaxAttemptsProtection: false,
      enablePoisonousMessageProtection: false,
    },
  };
  if (listener === 'polling') {
    Object.assign(config.settings, {
      nextMessagesBatchSize: parallel,
      nextMessagesFunctionName: names.nextMessagesName,
      nextMessagesFunctionSchema: names.schema,
      nextMessagesPollingIntervalInMs: Number(INTERVAL_MS),
    });
    outbox.initializePollingMessageListener(config, handler, logger);
  } else {
    Object.assign(config.settings, {
      dbPublication: names.publication,
      dbReplicationSlot: names.replicationSlot,
    });
    outbox.initializeReplicationMessageListener(config, handler, logger, {
      concurrencyStrategy: outbox.createReplicationSemaphoreConcurrencyController(parallel),
    });
  }
}

if (verb === 'setup') setup();
else run();
