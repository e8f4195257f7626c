// Rows that were passed over because their destination is held, or because an earlier row of their
// key was: where to find them again, and which keys are closed because of them. A fixed amount of
// memory, however many there are. Pure; owned by the relay core.
//
// They are found again in rounds: a walk over the pending rows from the lowest skipped one to the
// frontier, in pieces. What is passed over once more belongs to the next round.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "relay/key_filter.hpp"

namespace outboxd::relay {

class skipped_rows {
 public:
  // The row stays in the table, and closes its key for every row that is not read by a round.
  // read_out: a read is under way, which may pass over the row without showing it.
  void skip(std::int64_t id, const std::optional<std::string>& key, bool read_out) {
    const bool passed = running_ && id <= cursor_;
    if (!passed) now_.add(id, key);
    if (passed || (running_ && read_out)) later_.add(id, key);
    if (running_ && read_out && !passed) wanted_ = true;
  }

  // May this row of the key not be taken, because an earlier one may lie in the table? What a round
  // has looked at is no longer there, or was skipped again.
  bool closes(std::int64_t id, const std::string& key) const {
    const bool passed = running_ && id <= cursor_;
    return later_.keys.may_contain(key) || (!passed && now_.keys.may_contain(key));
  }

  bool empty() const { return !now_.lowest && !later_.lowest; }
  // No skipped row has a lower id.
  std::optional<std::int64_t> lowest() const {
    if (!now_.lowest || !later_.lowest) return now_.lowest ? now_.lowest : later_.lowest;
    return std::min(*now_.lowest, *later_.lowest);
  }

  // Something has changed: what was skipped may go now. Starts a round, or another one after the
  // one that runs.
  void look_again() { wanted_ = true; }
  // The round that runs, or a new one, from the first row of the table: as insurance.
  void look_everywhere() {
    everywhere_ = true;
    wanted_ = true;
  }
  bool wanted() const { return running_ || (wanted_ && (everywhere_ || !empty())); }
  bool in_round() const { return running_; }

  // Where the next piece of the round starts: behind this id. Starts a round if none runs.
  std::int64_t next_piece();
  // The caller looks at the row of this id; what it skips belongs to the next round.
  void look_at(std::int64_t id) { cursor_ = std::max(cursor_, id); }
  // The piece has been looked at up to this id. Rows were left out of the answer: they are still
  // there, somewhere behind `after`.
  void looked_at(std::int64_t to, bool some_left_out, std::int64_t after);
  // Up to the frontier: the round is over.
  void end_round();

  // The reader starts from the beginning: it will come to all of them again.
  void restart();

 private:
  struct generation {
    key_filter keys;
    std::optional<std::int64_t> lowest;
    void add(std::int64_t id, const std::optional<std::string>& key) {
      lowest = std::min(lowest.value_or(id), id);
      if (key) keys.insert(*key);
    }
    void clear(std::uint64_t salt) {
      keys.clear(salt);
      lowest.reset();
    }
  };

  generation now_;    // what this round has not come to yet
  generation later_;  // what it has, and was skipped again
  bool running_ = false;
  bool wanted_ = false;
  bool everywhere_ = false;
  std::int64_t cursor_ = 0;   // while running: the round has looked at everything up to here
  std::uint64_t rounds_ = 0;  // another salt for each
};

}  // namespace outboxd::relay
