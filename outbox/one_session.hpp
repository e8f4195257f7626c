// For verbs: one connection for one thing. See pauses.hpp and dead_rows.hpp; not for the relay.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "outbox/conninfo.hpp"
#include "outbox/db_failure.hpp"
#include "outbox/schema.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {

struct one_session_options {
  std::string url;
  std::string schema;
  std::string application_name;
  std::function<void(std::function<void()> cut_off)> connected = {};
};

inline session::on_connected telling_how_to_cut_off(const one_session_options& options) {
  if (!options.connected) return {};
  return [tell = options.connected](const std::shared_ptr<session_socket>& socket) {
    tell([socket] { socket->shut_down(); });
  };
}

inline statement for_schema(const char* name, std::string_view sql, const std::string& schema) {
  schema_names names;
  names.schema = schema;
  return {name, fill_in(sql, names)};
}

inline std::optional<std::string> text_or_none(const pqxx::field& f) {
  if (f.is_null()) return std::nullopt;
  return f.c_str();
}

template <typename Result>
base::result<Result> with_one_session(const one_session_options& options,
                                      const std::function<base::result<Result>(session&)>& work) {
  try {
    session db(complete_conninfo(options.url, options.application_name),
               {{"statement_timeout", "60s"}, {"lock_timeout", "5s"}},
               telling_how_to_cut_off(options));
    return work(db);
  } catch (...) {
    return describe_current_exception().failure;
  }
}

}  // namespace outboxd::outbox
