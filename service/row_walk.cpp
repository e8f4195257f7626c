#include "service/row_walk.hpp"

#include <unistd.h>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <optional>
#include <ostream>

#include "base/text.hpp"
#include "service/check.hpp"
#include "service/interruption.hpp"
#include "service/progress.hpp"

namespace outboxd::service {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::uint64_t rows_at_once = 1'000;  // changed by one statement
constexpr int counted_at_once = 10'000;

class walker {
 public:
  walker(const row_walk& job, const streams& to) : job_(job), to_(to) {}

  exit_code run() {
    progress counting = start({job_.action, "counted", std::nullopt});
    const auto counted = go_through(counting, true);
    total_ = counting.rows();
    if (!counted) return fail(counted.error(), to_);
    if (!*counted) return stopped(0);
    if (job_.dry_run) return finish(total_, exit_code::done);
    if (job_.wants_go_on && total_ > 0)
      to_.err << "to go on, should this be cut off: " << job_.go_on << "\n";

    progress working = start({job_.action, job_.done, total_});
    const auto worked = go_through(working, false);
    if (!worked) {
      error_ = worked.error().text;
      to_.err << "outboxd: " << error_ << "\n";
      say_how_to_go_on();
      return finish(working.rows(), to_exit_code(worked.error().kind));
    }
    return *worked ? finish(working.rows(), exit_code::done) : stopped(working.rows());
  }

 private:
  progress start(progress_of what) const {
    const bool json = to_.format == output_format::json;
    const auto style = json                           ? progress_style::json
                       : ::isatty(STDERR_FILENO) == 1 ? progress_style::terminal
                                                      : progress_style::lines;
    return {json ? to_.out : to_.err, style, std::move(what), clock::now()};
  }

  int batch(bool count_only) const {
    if (count_only) return counted_at_once;
    return static_cast<int>(job_.rate == 0 ? rows_at_once
                                           : std::clamp<std::uint64_t>(job_.rate, 1, rows_at_once));
  }

  // Not before as many rows as there are by now were allowed.
  clock::time_point next_page_at(clock::time_point began, std::uint64_t rows) const {
    if (job_.rate == 0) return began;
    const std::chrono::duration<double> due(static_cast<double>(rows) /
                                            static_cast<double>(job_.rate));
    return began + std::chrono::duration_cast<clock::duration>(due);
  }

  // True: to the end. False: a signal came.
  base::result<bool> go_through(progress& shown, bool count_only) const {
    const auto began = clock::now();
    for (std::int64_t after = 0;;) {
      if (signals_.came()) break;
      const auto page = job_.page(after, batch(count_only), count_only);
      if (!page) {
        shown.clear();
        return page.error();
      }
      shown.add(page->rows, clock::now());
      if (!page->last_id) {
        shown.clear();
        return true;
      }
      after = *page->last_id;
      if (!count_only && signals_.came_until(next_page_at(began, shown.rows()))) break;
    }
    shown.clear();
    return false;
  }

  exit_code stopped(std::uint64_t rows) const {
    to_.err << "outboxd: stopped by a signal\n";
    say_how_to_go_on();
    return finish(rows, exit_code::stopped);
  }

  void say_how_to_go_on() const { to_.err << "to go on: " << job_.go_on << "\n"; }

  exit_code finish(std::uint64_t rows, exit_code code) const {
    const bool complete = code == exit_code::done && !job_.dry_run;
    if (to_.format == output_format::json) {
      boost::json::object all{
          {"action", job_.action}, {"rows", rows}, {"total", total_}, {"done", complete}};
      if (code != exit_code::done) all["go_on"] = job_.go_on;
      if (!error_.empty()) all["error"] = base::as_text(error_);
      if (job_.kept_keys) all["kept_keys"] = *job_.kept_keys;
      to_.out << boost::json::serialize(all) << "\n";
    } else {
      to_.out << (job_.dry_run ? "would " + job_.action : job_.done) << " " << rows
              << (rows == 1 ? " row\n" : " rows\n");
      if (job_.kept_keys.value_or(0) > 0) {
        to_.out << "kept " << *job_.kept_keys
                << " with an ordering key, which they may hold: --with-keys takes them too\n";
      }
    }
    return code;
  }

  const row_walk& job_;
  const streams& to_;
  const interruption signals_;
  std::uint64_t total_ = 0;
  std::string error_;  // that ended it
};

}  // namespace

exit_code walk(const row_walk& job, const streams& to) {
  return walker(job, to).run();
}

}  // namespace outboxd::service
