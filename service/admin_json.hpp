// What operators are shown, as JSON: the same from the command line and from the admin API. Pure.
#pragma once

#include <boost/json/object.hpp>

#include <vector>

#include "outbox/dead_rows.hpp"
#include "outbox/pauses.hpp"

namespace outboxd::service {

boost::json::object as_json(const outbox::dead_row& row);
boost::json::object as_json(const outbox::dead_row_in_full& row);
boost::json::object as_json(const outbox::pause& p);
// What is set of it.
boost::json::object as_json(const outbox::dead_row_filter& which);
boost::json::object as_json(const outbox::pause_scope& scope);

template <typename T>
boost::json::array as_json(const std::vector<T>& all) {
  boost::json::array out;
  for (const auto& each : all) out.push_back(as_json(each));
  return out;
}

}  // namespace outboxd::service
