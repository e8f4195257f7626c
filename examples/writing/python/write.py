"""An order and the message about it, in one transaction (psycopg 3)."""

import json
import os

import psycopg

MOST = 1000


class TooMuch(Exception):
    pass


def place_order(db, customer, total):
    with db.transaction():  # commits, or rolls back on an exception
        db.execute("INSERT INTO orders (customer, total) VALUES (%s, %s)", (customer, total))
        message = db.execute(
            "INSERT INTO outbox.messages (exchange, routing_key, ordering_key, type, payload)"
            " VALUES (%s, %s, %s, %s, %s) RETURNING id, message_id",
            ("", "orders", f"customer-{customer}", "order.placed",
             json.dumps({"customer": customer, "total": total})),
        ).fetchone()
        if total > MOST:
            raise TooMuch  # whatever fails in here takes the message with it
    return message


with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
    print("published", *place_order(db, "ada", 12.5))
    try:
        place_order(db, "bob", 5000)
    except TooMuch:
        print("rolled back")
