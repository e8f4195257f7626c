// For verbs: one connection for one thing. See pauses.hpp, dead_rows.hpp and row_pages.hpp; not for
// the relay.
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
  session_settings settings = {};  // besides the usual ones
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

inline session open_session(const one_session_options& options) {
  session_settings settings{{"statement_timeout", "60s"}, {"lock_timeout", "5s"}};
  settings.insert(settings.end(), options.settings.begin(), options.settings.end());
  return {complete_conninfo(options.url, options.application_name), settings,
          telling_how_to_cut_off(options)};
}

// Exceptions stay on this side.
template <typename Result, typename Work>
base::result<Result> guarded(Work work) {
  try {
    return work();
  } catch (...) {
    return describe_current_exception().failure;
  }
}

template <typename Result>
base::result<Result> with_one_session(const one_session_options& options,
                                      const std::function<base::result<Result>(session&)>& work) {
  return guarded<Result>([&]() -> base::result<Result> {
    session db = open_session(options);
    return work(db);
  });
}

}  // namespace outboxd::outbox
