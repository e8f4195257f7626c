// What the HTTP server answers, as plain functions from a request and a snapshot. No socket, no
// clock.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "service/status_page.hpp"

namespace outboxd::service {

struct http_request {
  std::string_view method;  // "GET", "HEAD", …
  std::string_view target;  // "/readyz?verbose"
  std::string_view accept;  // the Accept header, empty when there is none
};

struct http_reply {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
};

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

}  // namespace outboxd::service
