#include "tests/support/outbox_database.hpp"

#include <boost/lexical_cast.hpp>

#include "outbox/migrator.hpp"
#include "outbox/schema.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {
namespace {

outbox::schema_names names_of(const std::string& schema) {
  outbox::schema_names names;
  names.schema = schema;
  return names;
}

std::string hex(const std::string& bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "\\x";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

std::string microseconds_of(time_point t) {
  return std::to_string(
      std::chrono::duration_cast<std::chrono::microseconds>(t.time_since_epoch()).count());
}

template <typename T>
std::string literal(pqxx::transaction_base& tx, const std::optional<T>& value) {
  if (!value) return "NULL";
  if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(*value);
  } else {
    return tx.quote(*value);
  }
}

}  // namespace

outbox_database::outbox_database(std::string schema)
    : schema_(std::move(schema)), url_(shared_postgres().create_database()), connection_(url_) {
  outbox::migrate_options options;
  options.url = url_;
  options.schema = schema_;
  outbox::up(options).value();
}

pqxx::result outbox_database::run(const std::string& sql) {
  pqxx::nontransaction tx(connection_);
  return tx.exec(outbox::fill_in(sql, names_of(schema_)));
}

std::string outbox_database::value(const std::string& sql) {
  const auto rows = run(sql);
  return rows.empty() ? "" : rows[0][0].c_str();
}

outbox::row_ref outbox_database::insert(pqxx::transaction_base& tx, const outbox::message& m,
                                        std::optional<time_point> not_before) {
  const std::string body = tx.quote(m.is_binary ? hex(m.body) : m.body);
  const auto rows = tx.exec(
      outbox::fill_in("INSERT INTO \"outbox\".messages (exchange, routing_key, ordering_key, "
                      "payload, payload_bytes, content_type,"
                      " content_encoding, type, correlation_id, reply_to, app_id, priority, "
                      "expiration_ms, headers, mandatory,"
                      " not_before) VALUES (",
                      names_of(schema_)) +
      tx.quote(m.exchange) + ", " + tx.quote(m.routing_key) + ", " + literal(tx, m.ordering_key) +
      ", " + (m.is_binary ? "NULL, " + body + "::bytea" : body + ", NULL") + ", " +
      literal(tx, m.content_type) + ", " + literal(tx, m.content_encoding) + ", " +
      literal(tx, m.type) + ", " + literal(tx, m.correlation_id) + ", " + literal(tx, m.reply_to) +
      ", " + literal(tx, m.app_id) + ", " + literal(tx, m.priority) + ", " +
      literal(tx, m.expiration_ms) + ", " + literal(tx, m.headers) + ", " +
      (m.mandatory ? "true" : "false") + ", " +
      (not_before ? "to_timestamp(" + microseconds_of(*not_before) + " / 1000000.0)" : "NULL") +
      ") RETURNING id, message_id");
  return {rows[0][0].as<std::int64_t>(),
          boost::lexical_cast<boost::uuids::uuid>(rows[0][1].c_str())};
}

}  // namespace outboxd::tests
