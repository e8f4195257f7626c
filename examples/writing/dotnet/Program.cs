// An order and the message about it, in one transaction (Npgsql).

using System.Text.Json;
using Npgsql;

await using var dataSource = NpgsqlDataSource.Create(Environment.GetEnvironmentVariable("DATABASE_URL")!);
var (id, messageId) = await PlaceOrder(dataSource, "ada", 12.5m);
Console.WriteLine($"published {id} {messageId}");
try
{
    await PlaceOrder(dataSource, "bob", 5000m);
}
catch (TooMuchException)
{
    Console.WriteLine("rolled back");
}

static async Task<(long Id, Guid MessageId)> PlaceOrder(NpgsqlDataSource dataSource, string customer, decimal total)
{
    await using var db = await dataSource.OpenConnectionAsync();
    await using var tx = await db.BeginTransactionAsync(); // rolls back unless it was committed

    await using var order = new NpgsqlCommand("INSERT INTO orders (customer, total) VALUES ($1, $2)", db, tx)
    {
        Parameters = { new() { Value = customer }, new() { Value = total } }
    };
    await order.ExecuteNonQueryAsync();

    await using var message = new NpgsqlCommand(
        """
        INSERT INTO outbox.messages (exchange, routing_key, ordering_key, type, payload)
        VALUES ($1, $2, $3, $4, $5) RETURNING id, message_id
        """, db, tx)
    {
        Parameters =
        {
            new() { Value = "" }, new() { Value = "orders" }, new() { Value = $"customer-{customer}" },
            new() { Value = "order.placed" }, new() { Value = JsonSerializer.Serialize(new { customer, total }) }
        }
    };
    (long, Guid) written;
    await using (var row = await message.ExecuteReaderAsync())
    {
        await row.ReadAsync();
        written = (row.GetInt64(0), row.GetGuid(1));
    }

    if (total > 1000) throw new TooMuchException(); // whatever fails in here takes the message with it
    await tx.CommitAsync();
    return written;
}

class TooMuchException : Exception;
