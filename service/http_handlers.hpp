// What the read-only HTTP server answers, as plain functions from a request and a snapshot. No
// socket, no clock.
#pragma once

#include <functional>
#include <string>

#include "service/http_message.hpp"
#include "service/process_view.hpp"

namespace outboxd::service {

// Where answers come from; each is asked only when it is needed.
struct http_source {
  std::function<process_view()> view;
  std::function<std::string(const relay::status&)> metrics;
  // For /livez, which must not depend on anything that waits for others.
  std::function<std::vector<outbox::db_call>()> database_calls = [] {
    return std::vector<outbox::db_call>();
  };
};

http_reply answer(const http_request& request, const http_source& source);

// answer(), for a server.
http_handler read_only(http_source source);

// /status.json, which the admin API answers too.
http_reply status_reply(const http_source& source);

}  // namespace outboxd::service
