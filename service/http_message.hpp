// A request as the handlers see it, and what they answer. No socket.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outboxd::service {

// Valid as long as the handler runs: what is needed later is copied.
struct http_request {
  std::string_view method{};  // "GET", "HEAD", …
  std::string_view target{};  // "/readyz?verbose"
  std::string_view accept{};  // headers; empty when they are not there
  std::string_view host{}, origin{}, fetch_site{}, authorization{}, content_type{};
  std::string_view body{};    // empty where the server reads none (http_limits)
  std::string_view remote{};  // the client's address
};

struct http_reply {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
};

// respond: exactly once, on the server's executor, now or later.
using http_respond = std::function<void(http_reply)>;
using http_handler = std::function<void(const http_request&, http_respond respond)>;

}  // namespace outboxd::service
