// What `replay`, `purge` and `dead retry|discard` share: count the rows, then go through them page
// by page, with progress, at the rate that was asked for, until the end or a signal. Blocks;
// results go to out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "outbox/row_pages.hpp"
#include "service/one_shot.hpp"

namespace outboxd::service {

struct row_walk {
  std::string action;  // "replay"
  std::string done;    // "replayed"
  std::function<base::result<outbox::row_page>(std::int64_t after, int batch, bool count_only)>
      page;
  std::uint64_t rate = 0;  // rows a second; 0: no limit
  bool dry_run = false;
  std::string go_on;         // the command that does what is left
  bool wants_go_on = false;  // it says more than what was typed: also for those who get killed
  std::optional<std::size_t> kept_keys;  // dead rows that are old enough, and may hold their key
};

exit_code walk(const row_walk& job, const streams& to);

}  // namespace outboxd::service
