#include "service/application.hpp"

#include <unistd.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>

#include "outbox/pg_leadership.hpp"
#include "outbox/pg_store.hpp"
#include "relay/amqp/amqp_publisher.hpp"
#include "relay/relay.hpp"
#include "service/admin_api.hpp"
#include "service/auto_migration.hpp"
#include "service/http_server.hpp"
#include "service/lifecycle.hpp"
#include "service/log.hpp"
#include "service/metrics.hpp"
#include "service/options.hpp"
#include "service/readiness.hpp"
#include "service/repeat_limit.hpp"
#include "service/system_manager.hpp"
#include "service/version.hpp"
#include "service/watchdog.hpp"

namespace outboxd::service {
namespace {

// On top of OUTBOX_SHUTDOWN_TIMEOUT, for closing what is left when it has passed.
constexpr std::chrono::milliseconds shutdown_margin{10'000};

// For a few people, not for crowds.
constexpr http_limits admin_limits{.connections = 16, .body_bytes = 16u << 10};

class application {
 public:
  application(const loaded_settings& loaded, const std::string& instance)
      : loaded_(loaded),
        instance_(instance),
        lines_(logging_options(s(), instance, ::isatty(STDERR_FILENO) == 1, metrics_)),
        log_(lines_),
        watchdog_(executor_, {},
                  {[this](auto silent) { end_hung(silent); }, [this] { end_late_shutdown(); }}),
        log_timer_(executor_),
        systemd_(executor_),
        store_(executor_, database_options(s(), instance, metrics_)),
        leadership_(executor_, lead_options(s(), instance, metrics_), log_),
        broker_(executor_, publisher_options(s(), instance), log_),
        relay_(executor_, store_, leadership_, broker_, relay_options(s()), log_, metrics_),
        migration_(
            executor_, [this] { return migrate(); }, log_),
        http_(executor_, read_only(status_source()), {}, log_),
        admin_(executor_, {status_source(), admin_token(), make_admin_database(s())}, lines_, log_),
        admin_http_(
            executor_,
            [this](const auto& request, auto respond) {
              admin_.answer(request, std::move(respond));
            },
            admin_limits, log_),
        lifecycle_(executor_, {[this](auto signal) { drain(signal); },
                               [this](auto signal) { hurry(signal); }}) {}

  exit_code run() {
    for (const auto& text : loaded_.warnings) lines_.warn("settings.unknown", {{"text", text}});
    for (const auto& text : loaded_.cautions) lines_.warn("settings.caution", {{"text", text}});
    if (!listens(http_, s().http_listen, "OUTBOX_HTTP_LISTEN") || !admin_listens())
      return exit_code::configuration;
    log_started();
    lifecycle_.start();
    relay_.start();
    watchdog_.start();
    tick_log();
    if (s().auto_migrate)
      migration_.start([this] { started(); });
    else
      started();
    io_.run();
    ends_at(stage::threads);
    log_.finish();
    log_.info("service.stopped", {{"exit", static_cast<int>(exit_)}});
    return exit_;
  }

 private:
  const settings& s() const { return loaded_.values; }

  // A stand-by has started as well, and so has one whose servers are away: it waits for them.
  void started() {
    started_ = true;
    systemd_.started();
  }

  http_source status_source() {
    return {[this] { return view(); }, [this](const auto& now) { return metrics_.render(now); },
            [this] { return database_calls(); }};
  }

  std::function<base::result<std::optional<std::string>>()> admin_token() const {
    return [token = s().admin_token]() -> base::result<std::optional<std::string>> {
      if (!token.is_set()) return std::optional<std::string>();
      const auto value = token.value();
      if (!value) return value.error();
      return std::optional(*value);
    };
  }

  bool listens(http_server& server, const listen_address& where, std::string_view setting) {
    const auto listening = server.start(where);
    if (!listening)
      log_.error("http.listen_failed", {{"error", listening.error().text}, {"setting", setting}});
    return listening.has_value();
  }

  // Several processes of one host have the same default, and relaying does not depend on it.
  bool admin_listens() {
    if (s().admin_listen.is_off()) return true;
    if (!is_default("OUTBOX_ADMIN_LISTEN"))
      return listens(admin_http_, s().admin_listen, "OUTBOX_ADMIN_LISTEN");
    if (const auto listening = admin_http_.start(s().admin_listen); !listening)
      log_.warn("admin.not_listening", {{"error", listening.error().text}});
    return true;
  }

  bool is_default(std::string_view name) const {
    return std::ranges::any_of(loaded_.shown, [&](const shown_setting& shown) {
      return shown.name == name && shown.origin == "default";
    });
  }

  void log_started() {
    std::vector<base::field> fields{{"version", version()},
                                    {"revision", revision()},
                                    {"http_port", http_.port()},
                                    {"admin_port", admin_http_.port()}};
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
            std::chrono::duration_cast<std::chrono::seconds>(up), database_calls()};
  }

  std::vector<outbox::db_call> database_calls() const {
    auto calls = store_.calls();
    if (auto lead = leadership_.call()) calls.push_back(std::move(*lead));
    return calls;
  }

  void tick_log() {
    log_timer_.expires_after(std::chrono::seconds(1));
    log_timer_.async_wait([this](const boost::system::error_code& cancelled) {
      if (cancelled || log_at_end_) return;  // one that was queued already is not cancelled
      log_.tick();
      if (systemd_.listens()) systemd_.says(in_one_line(view()));
      tick_log();
    });
  }

  void drain(std::string_view signal) {
    watchdog_.shut_down_within(s().shutdown_timeout + shutdown_margin);
    ends_at(stage::relay);
    log_.info("service.draining",
              {{"signal", signal}, {"timeout_ms", s().shutdown_timeout.count()}});
    systemd_.stopping();
    migration_.stop();
    relay_.drain(s().shutdown_timeout, [this](relay::drain_result result) { drained(result); });
  }

  void hurry(std::string_view signal) {
    log_.warn("service.hurried", {{"signal", signal}});
    watchdog_.shut_down_within(shutdown_margin);
    relay_.drain(std::chrono::milliseconds(0), {});
  }

  // The relay has closed the broker and given the lead away. Health is served to the end.
  void drained(relay::drain_result result) {
    if (result == relay::drain_result::unconfirmed_left) exit_ = exit_code::unconfirmed;
    ends_at(stage::database);
    store_.stop([this] {
      ends_at(stage::http);
      admin_.stop();
      admin_http_.stop([this] { http_.stop([this] { served(); }); });
    });
  }

  void served() {
    watchdog_.rest();
    log_at_end_ = true;
    log_timer_.cancel();
    systemd_.close();
    lifecycle_.close();
  }

  // What the shutdown waits for. With `threads` the parts may be gone already.
  enum class stage { running, relay, database, http, threads };

  void ends_at(stage now) {
    const std::lock_guard lock(stage_mutex_);
    stage_ = now;
  }

  static std::string_view to_string(stage s) {
    switch (s) {
      case stage::running:
        return "nothing";
      case stage::relay:
        return "the relay: confirms, marks, the broker, the lead";
      case stage::database:
        return "the database connections";
      case stage::http:
        return "HTTP connections";
      case stage::threads:
        return "threads";
    }
    return "?";
  }

  std::string calls_in_words() const {
    std::string text;
    for (const auto& call : database_calls()) {
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(call.lasts).count();
      text += (text.empty() ? "" : "; ") + call.lane + " in " + call.operation + " for " +
              std::to_string(seconds) + " s";
    }
    return text;
  }

  // Both on the watchdog's thread, and neither returns. Destructors would wait for what hangs. If
  // the log is what hangs, the alarm ends the process.
  [[noreturn]] void end_hung(std::chrono::milliseconds silent) {
    ::alarm(5);
    lines_.error("service.hung", {{"silent_ms", silent.count()}, {"database", calls_in_words()}});
    std::_Exit(static_cast<int>(exit_code::bug));
  }

  [[noreturn]] void end_late_shutdown() {
    ::alarm(5);
    const std::lock_guard lock(stage_mutex_);
    lines_.error("service.shutdown_hung",
                 {{"waits_for", to_string(stage_)},
                  {"database", stage_ == stage::threads ? "" : calls_in_words()}});
    std::_Exit(static_cast<int>(exit_code::unconfirmed));
  }

  const loaded_settings& loaded_;
  const std::string instance_;
  const std::chrono::steady_clock::time_point born_ = std::chrono::steady_clock::now();
  bool started_ = false;
  exit_code exit_ = exit_code::done;

  boost::asio::io_context io_{1};
  boost::asio::any_io_executor executor_ = io_.get_executor();
  metrics metrics_;
  log lines_;
  repeat_limit log_;
  std::mutex stage_mutex_;
  stage stage_ = stage::running;
  watchdog watchdog_;  // before what it watches: its thread outlives their destructors
  boost::asio::steady_timer log_timer_;
  bool log_at_end_ = false;
  system_manager systemd_;
  outbox::pg_store store_;
  outbox::pg_leadership leadership_;
  relay::amqp::amqp_publisher broker_;
  relay::relay relay_;
  auto_migration migration_;
  http_server http_;
  admin_api admin_;
  http_server admin_http_;
  lifecycle lifecycle_;
};

}  // namespace

exit_code run(const loaded_settings& loaded, const std::string& instance) {
  return application(loaded, instance).run();
}

}  // namespace outboxd::service
