#include "service/broker_check.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <optional>

#include "relay/amqp/connection.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

namespace amqp = relay::amqp;

// `check` reports one line for each node; what the connection logs about it is in that line.
class no_log final : public base::logger {
  void write(base::severity, std::string_view, std::span<const base::field>) override {}
};

class goodbye_when_open final : public amqp::connection_events {
 public:
  void watch(amqp::connection& connection) { connection_ = &connection; }

  void opened() override { connection_->close(std::chrono::seconds(1)); }
  void channel_lost(int, const std::string&) override {}
  void lost(relay::doubt, int, const std::string&) override {}
  void blocked(bool, const std::string&) override {}
  bool acked(amqp::delivery_tag, bool) override { return false; }
  bool nacked(amqp::delivery_tag, bool) override { return false; }
  bool returned(const amqp::basic_return&) override { return false; }
  void control_opened() override {}
  bool declared() override { return false; }
  void control_lost(int, const std::string&) override {}
  void read_done() override {}
  void writable() override {}

 private:
  amqp::connection* connection_ = nullptr;
};

}  // namespace

base::result<void> check_broker(const amqp::endpoint& node) {
  boost::asio::io_context io{1};
  no_log log;
  goodbye_when_open events;
  amqp::connection_options options;
  options.client = {"outboxd:check", std::string(version())};
  options.random = [] { return 0.5; };
  const auto connection =
      std::make_shared<amqp::connection>(io.get_executor(), node, options, log, events);
  events.watch(*connection);
  std::optional<amqp::connection::ending> ending;
  boost::asio::co_spawn(io, connection->run(),
                        [&](const std::exception_ptr& bug, amqp::connection::ending e) {
                          if (bug) std::rethrow_exception(bug);
                          ending = std::move(e);
                        });
  io.run();
  if (ending && ending->was_open) return {};
  return base::failure{base::failure_kind::unavailable, ending ? ending->text : "no answer"};
}

}  // namespace outboxd::service
