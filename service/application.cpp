#include "service/application.hpp"

#include <unistd.h>
#include <boost/asio/io_context.hpp>

#include <chrono>

#include "outbox/pg_leadership.hpp"
#include "outbox/pg_store.hpp"
#include "relay/amqp/amqp_publisher.hpp"
#include "relay/relay.hpp"
#include "service/auto_migration.hpp"
#include "service/http_server.hpp"
#include "service/lifecycle.hpp"
#include "service/log.hpp"
#include "service/metrics.hpp"
#include "service/options.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

class application {
 public:
  application(const loaded_settings& loaded, const std::string& instance)
      : loaded_(loaded),
        instance_(instance),
        log_(logging_options(s(), instance, ::isatty(STDERR_FILENO) == 1, metrics_)),
        store_(executor_, database_options(s(), instance, metrics_)),
        leadership_(executor_, lead_options(s(), instance, metrics_), log_),
        broker_(executor_, publisher_options(s(), instance), log_),
        relay_(executor_, store_, leadership_, broker_, relay_options(s()), log_, metrics_),
        migration_(
            executor_, [this] { return migrate(); }, log_),
        http_(executor_,
              {[this] { return view(); }, [this](const auto& now) { return metrics_.render(now); }},
              {}, log_),
        lifecycle_(executor_, {[this](auto signal) { drain(signal); },
                               [this](auto signal) { hurry(signal); }}) {}

  exit_code run() {
    for (const auto& text : loaded_.warnings) log_.warn("settings.unknown", {{"text", text}});
    for (const auto& text : loaded_.cautions) log_.warn("settings.caution", {{"text", text}});
    if (const auto listening = http_.start(s().http_listen); !listening) {
      log_.error("http.listen_failed",
                 {{"error", listening.error().text}, {"setting", "OUTBOX_HTTP_LISTEN"}});
      return exit_code::configuration;
    }
    log_started();
    lifecycle_.start();
    relay_.start();
    if (s().auto_migrate)
      migration_.start([this] { started_ = true; });
    else
      started_ = true;
    io_.run();
    log_.info("service.stopped", {{"exit", static_cast<int>(exit_)}});
    return exit_;
  }

 private:
  const settings& s() const { return loaded_.values; }

  void log_started() {
    std::vector<base::field> fields{
        {"version", version()}, {"revision", revision()}, {"http_port", http_.port()}};
    for (const auto& setting : loaded_.shown) {
      if (!setting.is_default) fields.emplace_back(setting.name, setting.value);
    }
    log_.write(base::severity::info, "service.started", fields);
  }

  base::result<outbox::migrate_report> migrate() const {
    const auto options = migration_options(s());
    if (!options) return options.error();
    return outbox::up(*options);
  }

  process_view view() const {
    const auto up = std::chrono::steady_clock::now() - born_;
    return {relay_.current(), started_, instance_,
            std::chrono::duration_cast<std::chrono::seconds>(up)};
  }

  void drain(std::string_view signal) {
    log_.info("service.draining",
              {{"signal", signal}, {"timeout_ms", s().shutdown_timeout.count()}});
    migration_.stop();
    relay_.drain(s().shutdown_timeout, [this](relay::drain_result result) { drained(result); });
  }

  void hurry(std::string_view signal) {
    log_.warn("service.hurried", {{"signal", signal}});
    relay_.drain(std::chrono::milliseconds(0), {});
  }

  // The relay has closed the broker and given the lead away. Health is served to the end.
  void drained(relay::drain_result result) {
    if (result == relay::drain_result::unconfirmed_left) exit_ = exit_code::unconfirmed;
    store_.stop([this] { http_.stop([this] { lifecycle_.close(); }); });
  }

  const loaded_settings& loaded_;
  const std::string instance_;
  const std::chrono::steady_clock::time_point born_ = std::chrono::steady_clock::now();
  bool started_ = false;
  exit_code exit_ = exit_code::done;

  boost::asio::io_context io_{1};
  boost::asio::any_io_executor executor_ = io_.get_executor();
  metrics metrics_;
  log log_;
  outbox::pg_store store_;
  outbox::pg_leadership leadership_;
  relay::amqp::amqp_publisher broker_;
  relay::relay relay_;
  auto_migration migration_;
  http_server http_;
  lifecycle lifecycle_;
};

}  // namespace

exit_code run(const loaded_settings& loaded, const std::string& instance) {
  return application(loaded, instance).run();
}

}  // namespace outboxd::service
