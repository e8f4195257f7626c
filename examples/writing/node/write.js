// An order and the message about it, in one transaction (pg).
'use strict'

const { Pool } = require('pg')

const MOST = 1000

class TooMuch extends Error {}

async function placeOrder (pool, customer, total) {
  const db = await pool.connect() // one connection for the whole transaction
  try {
    await db.query('BEGIN')
    await db.query('INSERT INTO orders (customer, total) VALUES ($1, $2)', [customer, total])
    const { rows: [message] } = await db.query(
      `INSERT INTO outbox.messages (exchange, routing_key, ordering_key, type, payload)
       VALUES ($1, $2, $3, $4, $5) RETURNING id, message_id`,
      ['', 'orders', `customer-${customer}`, 'order.placed', JSON.stringify({ customer, total })])
    if (total > MOST) throw new TooMuch() // whatever fails in here takes the message with it
    await db.query('COMMIT')
    return message
  } catch (error) {
    await db.query('ROLLBACK')
    throw error
  } finally {
    db.release()
  }
}

async function main () {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL })
  const { id, message_id: messageId } = await placeOrder(pool, 'ada', 12.5)
  console.log('published', id, messageId)
  try {
    await placeOrder(pool, 'bob', 5000)
  } catch (error) {
    if (!(error instanceof TooMuch)) throw error
    console.log('rolled back')
  }
  await pool.end()
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
