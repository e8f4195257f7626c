#include "outbox/pg_leadership.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cassert>
#include <deque>
#include <utility>

#include "outbox/lane.hpp"
#include "outbox/lead_fsm.hpp"
#include "outbox/lead_jobs.hpp"
#include "outbox/pg_sql.hpp"
#include "outbox/schema.hpp"

namespace outboxd::outbox {

// Obeys the machine. Pings are submitted from here, the executor's thread, and from nowhere else: a
// process whose thread hangs stops pinging and loses the lead.
class pg_leadership::impl : public std::enable_shared_from_this<impl> {
 public:
  impl(boost::asio::any_io_executor executor, lead_options options, base::logger& log)
      : executor_(std::move(executor)),
        options_(std::move(options)),
        log_(log),
        sql_(std::make_shared<const lead_statements>(options_.schema)),
        channel_(options_.listen ? wake_channel(options_.schema) : ""),
        timer_(executor_) {}

  void start(leadership_events& events) {
    if (fsm_.stopped()) return;
    events_ = &events;
    lane_ = std::make_unique<lane>(executor_, lane_settings());
    happened(lead_input::start{});
  }

  void stop(std::function<void()> done) {
    on_stopped_.push_back(std::move(done));
    happened(lead_input::stop{});
    if (fsm_.stopped()) tell_stopped();
  }

  // The owner is going: nobody is told anything any more.
  void destroy() {
    events_ = nullptr;
    timer_.cancel();
    lane_.reset();
  }

  std::optional<db_call> call() const { return lane_ ? lane_->current_call() : std::nullopt; }

  void try_wake_lock(std::function<void(base::result<bool>)> done) {
    if (!fsm_.leading()) return post_lost(std::move(done));
    // Advisory locks count: taken twice, it would have to be given back twice.
    if (wake_ == wake::held)
      return boost::asio::post(executor_, [done = std::move(done)] { done(true); });
    assert(wake_ == wake::free);
    wake_ = wake::asked;
    submit<bool>(
        "try_wake_lock", [sql = sql_, pid = pid_](session& db) { return try_wake(db, *sql, pid); },
        [this, done](base::result<bool> got) {
          if (wake_ == wake::asked) wake_ = got && *got ? wake::held : wake::free;
          done(std::move(got));
        },
        [done](const base::failure& why) { done(why); });
  }

  bool leads_for_certain() const {
    return fsm_.leads_for_certain(lead_fsm::time_point::clock::now());
  }

  void release_wake_lock() {
    if (!fsm_.leading() || std::exchange(wake_, wake::free) == wake::free) return;
    submit<bool>(
        "release_wake_lock",
        [sql = sql_, pid = pid_](session& db) { return release_wake(db, *sql, pid); },
        [this](const base::result<bool>& released) {
          // Kept by accident, it would make every writer notify for ever.
          if (!released) happened(lead_input::failed{released.error().text});
        },
        [](const base::failure&) {});
  }

 private:
  enum class wake { free, asked, held };

  lane_options lane_settings() {
    lane_options lane;
    lane.name = "pg-lead";
    lane.url = options_.url;
    lane.application_name = options_.application_name;
    // A leader that hangs or vanished must not keep the lock: the server ends its session.
    lane.settings = {
        {"idle_session_timeout", std::to_string(lead_fsm::server_gives_up_after.count()) + "ms"},
        {"statement_timeout", "5s"},
        {"lock_timeout", "1s"}};
    // Also for a stand-by, which the machine gives no time limit.
    lane.limits.statement = options_.answer_within;
    lane.jitter = options_.jitter;
    lane.on_query = options_.on_query;
    lane.on_reconnect = options_.on_reconnect;
    lane.on_session_lost = [weak = weak_from_this()](const base::failure& why) {
      if (auto self = weak.lock()) self->happened(lead_input::failed{why.text});
    };
    lane.on_notified = [weak = weak_from_this()] {
      if (auto self = weak.lock(); self && self->events_ && self->fsm_.leading()) {
        self->events_->notified();
      }
    };
    return lane;
  }

  // Events may come from inside an event handler of the owner: one after the other.
  void happened(lead_event event) {
    inputs_.push_back(std::move(event));
    if (std::exchange(resuming_, true)) return;
    const auto keep = shared_from_this();
    while (!inputs_.empty()) {
      const auto next = std::move(inputs_.front());
      inputs_.pop_front();
      for (const auto& action : fsm_.resume(next, lead_fsm::time_point::clock::now())) {
        std::visit([this](const auto& a) { perform(a); }, action);
      }
    }
    resuming_ = false;
    arm_timer();
  }

  void perform(const lead_output::look_around&) {
    submit<lead_survey>(
        "look_around",
        [sql = sql_, schema = options_.schema](session& db) { return survey(db, *sql, schema); },
        [this](base::result<lead_survey> got) {
          if (got && options_.on_schema_version) options_.on_schema_version(got->schema_version);
          if (!got && got.error().kind == base::failure_kind::not_ready) {
            happened(lead_input::not_ready{got.error().text});
          } else if (!got) {
            happened(lead_input::failed{got.error().text});
          } else if (!got->advice.empty()) {
            happened(lead_input::not_ready{got->advice});
          } else {
            pid_ = got->pid;
            happened(lead_input::ready{});
          }
        });
  }

  void perform(const lead_output::try_lead&) {
    submit<lead_attempt>(
        "try_lead",
        [sql = sql_, pid = pid_, instance = options_.instance,
         channel = listen_next_ ? channel_ : ""](session& db) {
          return try_lead(db, *sql, pid, instance, channel);
        },
        [this](base::result<lead_attempt> got) {
          if (!got) return happened(lead_input::failed{got.error().text});
          if (!got->listen_error.empty()) {
            log_.warn("lead.listen_failed",
                      {{"error", got->listen_error}, {"effect", "polling only"}});
          }
          listen_next_ = !got->listen_ended_session;
          if (got->listen_ended_session) return happened(lead_input::failed{got->listen_error});
          table_ = got->table;
          if (!got->epoch) return happened(lead_input::refused{got->holder});
          happened(lead_input::gained{*got->epoch});
        });
  }

  void perform(const lead_output::ping&) {
    submit<bool>(
        "ping",
        [sql = sql_, pid = pid_, table = table_](session& db) {
          return ping(db, *sql, pid, table);
        },
        [this](const base::result<bool>& got) {
          if (!got) return happened(lead_input::failed{got.error().text});
          happened(lead_input::pong{});
        });
  }

  void perform(const lead_output::abandon_session&) {
    ++generation_;
    wake_ = wake::free;
    lane_->abandon_session();
  }

  void perform(const lead_output::close_session&) {
    ++generation_;
    lane_->stop([weak = weak_from_this()] {
      if (auto self = weak.lock()) {
        self->happened(lead_input::closed{});
        self->tell_stopped();
      }
    });
  }

  void perform(const lead_output::report_state& r) {
    if (events_ != nullptr) events_->lead_state_changed(r.state, r.detail);
  }
  void perform(const lead_output::report_gained& r) {
    if (events_ != nullptr) events_->lead_gained(r.epoch);
  }
  void perform(const lead_output::report_lost& r) {
    if (events_ != nullptr) events_->lead_lost(r.reason);
  }

  // An answer from a session that was given up goes to `lost`, whatever it says.
  template <typename T>
  void submit(
      std::string_view operation, std::function<T(session&)> work,
      std::function<void(base::result<T>)> done,
      std::function<void(const base::failure&)> lost = [](const base::failure&) {}) {
    lane_->submit<T>(operation, std::move(work),
                     [weak = weak_from_this(), generation = generation_, done = std::move(done),
                      lost = std::move(lost)](base::result<T> got) {
                       const auto self = weak.lock();
                       if (self && self->generation_ == generation) {
                         done(std::move(got));
                       } else {
                         lost(lead_is_gone());
                       }
                     });
  }

  static base::failure lead_is_gone() {
    return {base::failure_kind::unavailable, "the lead was lost"};
  }

  void post_lost(std::function<void(base::result<bool>)> done) {
    boost::asio::post(executor_, [done = std::move(done)] { done(lead_is_gone()); });
  }

  void arm_timer() {
    const auto at = fsm_.wake_at();
    if (at == armed_for_) return;
    armed_for_ = at;
    timer_.cancel();
    if (!at) return;
    timer_.expires_at(*at);
    timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      if (error || !self) return;
      self->armed_for_.reset();
      self->happened(lead_input::time_passed{});
    });
  }

  void tell_stopped() {
    for (auto& done : std::exchange(on_stopped_, {})) boost::asio::post(executor_, std::move(done));
  }

  const boost::asio::any_io_executor executor_;
  const lead_options options_;
  base::logger& log_;
  const std::shared_ptr<const lead_statements> sql_;
  const std::string channel_;
  leadership_events* events_ = nullptr;

  lead_fsm fsm_;
  std::deque<lead_event> inputs_;
  bool resuming_ = false;
  boost::asio::steady_timer timer_;
  std::optional<lead_fsm::time_point> armed_for_;
  std::vector<std::function<void()>> on_stopped_;

  std::uint64_t generation_ = 0;  // of the session: grows when one is given up
  int pid_ = 0;                   // of its backend
  std::string table_;             // whose lock it has
  bool listen_next_ = true;       // false: trying to has just cost us a session
  wake wake_ = wake::free;

  std::unique_ptr<lane> lane_;
};

pg_leadership::pg_leadership(boost::asio::any_io_executor executor, lead_options options,
                             base::logger& log)
    : impl_(std::make_shared<impl>(std::move(executor), std::move(options), log)) {}

pg_leadership::~pg_leadership() {
  impl_->destroy();
}

void pg_leadership::start(leadership_events& events) {
  impl_->start(events);
}

void pg_leadership::stop(std::function<void()> done) {
  impl_->stop(std::move(done));
}

std::optional<db_call> pg_leadership::call() const {
  return impl_->call();
}

void pg_leadership::try_wake_lock(std::function<void(base::result<bool>)> done) {
  impl_->try_wake_lock(std::move(done));
}

void pg_leadership::release_wake_lock() {
  impl_->release_wake_lock();
}

bool pg_leadership::leads_for_certain() const {
  return impl_->leads_for_certain();
}

}  // namespace outboxd::outbox
