// Serves a handler over HTTP/1.1. Runs on one executor, without a lock; owned by the application.
// Bounded in every direction: connections, header and body size, time for a request, time for a
// reply, idle time. stop() closes the listener, lets replies under way finish for a moment and then
// calls back; a request whose handler has not answered yet is waited for.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/log.hpp"
#include "base/result.hpp"
#include "service/http_message.hpp"
#include "service/settings.hpp"

namespace outboxd::service {

struct http_limits {
  std::size_t connections = 64;
  std::uint32_t header_bytes = 8u << 10;
  std::size_t body_bytes = 0;  // 0: no body is read, and a request that has one is the last
  std::chrono::milliseconds request{
      10'000};  // from the accept, or the last reply, to the whole request
  std::chrono::milliseconds reply{10'000};
  std::chrono::milliseconds farewell{1'000};  // what a client gets to read the last reply
};

class http_server {
 public:
  http_server(boost::asio::any_io_executor executor, http_handler handler, http_limits limits,
              base::logger& log);
  ~http_server();

  // Binds and listens. A failure says which address and why. Call once.
  base::result<void> start(const listen_address& where);

  // The port that was bound, for a listen address with port 0.
  std::uint16_t port() const;

  // Idempotent, legal before start(). done: all connections are gone.
  void stop(std::function<void()> done);

 private:
  class impl;
  std::shared_ptr<impl> impl_;
};

}  // namespace outboxd::service
