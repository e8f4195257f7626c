#include "service/broker_dialogue.hpp"

#include <boost/asio/co_spawn.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "service/version.hpp"

namespace outboxd::service {
namespace {

namespace amqp = relay::amqp;

// What the connection logs is in the lines that `check` prints.
class no_log final : public base::logger {
  void write(base::severity, std::string_view, std::span<const base::field>) override {}
};

// The broker says no to the login (403), or to its use of the virtual host (530, which is also said
// of one that does not exist).
base::failure no_connection(const std::string& why) {
  const bool refused = why.starts_with("403 ") ||
                       (why.starts_with("530 ") && why.find(" refused for user ") != why.npos);
  return {refused ? base::failure_kind::forbidden : base::failure_kind::unavailable, why};
}

}  // namespace

base::result<void> broker_dialogue::hold(const amqp::endpoint& node) {
  no_log log;
  amqp::connection_options options;
  options.client = {"outboxd:check", std::string(version())};
  options.random = [] { return 0.5; };
  amqp::connection_events& events = *this;
  const auto connection =
      std::make_shared<amqp::connection>(io_.get_executor(), node, options, log, events);
  connection_ = connection.get();
  std::optional<amqp::connection::ending> ending;
  boost::asio::co_spawn(io_, connection->run(),
                        [&](const std::exception_ptr& bug, amqp::connection::ending e) {
                          if (bug) std::rethrow_exception(bug);
                          ending = std::move(e);
                        });
  io_.run();
  connection_ = nullptr;
  if (ending && ending->was_open) return {};
  return no_connection(ending ? ending->text : "no answer");
}

void broker_dialogue::begin() {
  timer_.expires_after(limit_);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    late_ = true;
    end();
  });
}

void broker_dialogue::end() {
  timer_.cancel();
  connection_->close(std::chrono::seconds(1));
}

void broker_dialogue::blocked(bool is_blocked, const std::string& reason) {
  blocked_ = is_blocked ? reason : "";
}

void broker_dialogue::lost(relay::doubt, int, const std::string& text) {
  timer_.cancel();
  lost_ = text;
}

}  // namespace outboxd::service
