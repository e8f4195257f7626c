// An order and the message about it, in one transaction (JDBC).

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.UUID;

public class Write {
  static final BigDecimal MOST = new BigDecimal(1000);

  static class TooMuch extends Exception {}

  record Message(long id, UUID messageId) {}

  static Message placeOrder(Connection db, String customer, BigDecimal total)
      throws SQLException, TooMuch {
    db.setAutoCommit(false);
    try (PreparedStatement order =
            db.prepareStatement("INSERT INTO orders (customer, total) VALUES (?, ?)");
        PreparedStatement message =
            db.prepareStatement(
                "INSERT INTO outbox.messages (exchange, routing_key, ordering_key, type, payload)"
                    + " VALUES (?, ?, ?, ?, ?) RETURNING id, message_id")) {
      order.setString(1, customer);
      order.setBigDecimal(2, total);
      order.executeUpdate();

      message.setString(1, "");
      message.setString(2, "orders");
      message.setString(3, "customer-" + customer);
      message.setString(4, "order.placed");
      message.setString(5, "{\"customer\": \"" + customer + "\", \"total\": " + total + "}");
      ResultSet row = message.executeQuery();
      row.next();
      Message written = new Message(row.getLong("id"), row.getObject("message_id", UUID.class));

      if (total.compareTo(MOST) > 0) {
        throw new TooMuch(); // whatever fails in here takes the message with it
      }
      db.commit();
      return written;
    } finally {
      db.rollback(); // after a commit there is nothing to roll back
    }
  }

  public static void main(String[] arguments) throws SQLException, TooMuch {
    try (Connection db = DriverManager.getConnection(System.getenv("DATABASE_URL"))) {
      Message message = placeOrder(db, "ada", new BigDecimal("12.50"));
      System.out.println("published " + message.id() + " " + message.messageId());
      try {
        placeOrder(db, "bob", new BigDecimal(5000));
      } catch (TooMuch e) {
        System.out.println("rolled back");
      }
    }
  }
}
