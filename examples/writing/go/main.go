// An order and the message about it, in one transaction (pgx 5).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
)

const most = 1000

var errTooMuch = errors.New("too much")

type order struct {
	Customer string  `json:"customer"`
	Total    float64 `json:"total"`
}

func placeOrder(ctx context.Context, db *pgx.Conn, o order) (id int64, messageID string, err error) {
	payload, err := json.Marshal(o)
	if err != nil {
		return 0, "", err
	}
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { // commits, or rolls back on an error
		if _, err := tx.Exec(ctx, `INSERT INTO orders (customer, total) VALUES ($1, $2)`, o.Customer, o.Total); err != nil {
			return err
		}
		err := tx.QueryRow(ctx,
			`INSERT INTO outbox.messages (exchange, routing_key, ordering_key, type, payload)
			 VALUES ($1, $2, $3, $4, $5) RETURNING id, message_id::text`,
			"", "orders", "customer-"+o.Customer, "order.placed", string(payload)).Scan(&id, &messageID)
		if err != nil {
			return err
		}
		if o.Total > most {
			return errTooMuch // whatever fails in here takes the message with it
		}
		return nil
	})
	return id, messageID, err
}

func main() {
	ctx := context.Background()
	db, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	id, messageID, err := placeOrder(ctx, db, order{"ada", 12.5})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("published", id, messageID)

	if _, _, err := placeOrder(ctx, db, order{"bob", 5000}); !errors.Is(err, errTooMuch) {
		log.Fatal("expected to be refused: ", err)
	}
	fmt.Println("rolled back")
}
