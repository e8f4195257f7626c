#include "service/admin_database.hpp"

#include <utility>

namespace outboxd::service {
namespace {

class settings_database final : public admin_database {
 public:
  explicit settings_database(const settings& s) : url_(s.database_url), schema_(s.schema) {}

  base::result<std::vector<outbox::dead_row>> list_dead(blocking_call& call,
                                                        const outbox::dead_row_filter& which,
                                                        std::int64_t after,
                                                        std::size_t limit) override {
    const auto options = made<outbox::dead_row_options>(call);
    if (!options) return options.error();
    return outbox::list_dead(*options, which, after, limit);
  }

  base::result<outbox::dead_row_in_full> show_dead(blocking_call& call, std::int64_t id) override {
    const auto options = made<outbox::dead_row_options>(call);
    if (!options) return options.error();
    return outbox::show_dead(*options, id);
  }

  base::result<std::size_t> count_dead(blocking_call& call,
                                       const outbox::dead_row_filter& which) override {
    const auto options = made<outbox::dead_row_options>(call);
    if (!options) return options.error();
    return outbox::count_dead(*options, which);
  }

  base::result<std::size_t> decide_dead(blocking_call& call, const outbox::dead_row_filter& which,
                                        outbox::dead_row_fate what) override {
    const auto options = made<outbox::dead_row_options>(call);
    if (!options) return options.error();
    return outbox::decide_dead(*options, which, what);
  }

  base::result<std::vector<outbox::pause>> list_pauses(blocking_call& call) override {
    const auto options = made<outbox::pause_options>(call);
    if (!options) return options.error();
    return outbox::list_pauses(*options);
  }

  base::result<void> begin_pause(blocking_call& call, const outbox::pause_scope& scope,
                                 std::optional<std::chrono::seconds> lasting,
                                 const std::string& reason) override {
    const auto options = made<outbox::pause_options>(call);
    if (!options) return options.error();
    return outbox::begin_pause(*options, scope, lasting, reason);
  }

  base::result<bool> end_pause(blocking_call& call, const outbox::pause_scope& scope) override {
    const auto options = made<outbox::pause_options>(call);
    if (!options) return options.error();
    return outbox::end_pause(*options, scope);
  }

 private:
  // The client is not to blame for a file that cannot be read.
  template <typename Options>
  base::result<Options> made(blocking_call& call) const {
    const auto url = url_.value();
    if (!url) return base::failure{base::failure_kind::unavailable, url.error().text};
    return Options{*url, schema_, "outboxd admin",
                   [&call](auto cut_off) { call.waits_for(std::move(cut_off)); }};
  }

  const secret url_;
  const std::string schema_;
};

}  // namespace

std::unique_ptr<admin_database> make_admin_database(const settings& s) {
  return std::make_unique<settings_database>(s);
}

}  // namespace outboxd::service
