// Which ids are still to be read: everything above the frontier, and the gaps below it. Id order is
// not commit order, so an id that was skipped is remembered until no transaction that could have
// drawn it is left. Pure; owned by the relay core. One request is outstanding at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "outbox/store.hpp"

namespace outboxd::outbox {

class reader {
 public:
  explicit reader(std::size_t max_gaps = 4096) : max_gaps_(max_gaps) {}

  // Fills in frontier and gaps. limit is raised by `known` (rows the caller has in memory) when the
  // answer may contain them, so that they cannot crowd out what is new; and by rows that were
  // skipped and lie in merged gaps, for the same reason.
  // span: while careful, no more ids than about twice as many are walked over.
  void ask(read_request& request, std::size_t known, std::int64_t span = 0) const;

  // Takes the answer to the last request. The caller has looked at the first `taken` rows
  // (accepted, skipped on purpose, or known already); those behind them count as not read.
  void answered(const read_request& request, const read_answer& answer, std::size_t taken);

  // Up to which id the first `taken` rows of an answer are all that was left to read.
  static std::int64_t covered_by(const read_request& request, const read_answer& answer,
                                 std::size_t taken);

  // Sweep: read everything from the start again. At take-over, after a lost database connection
  // (ids may have been issued twice), and now and then as insurance.
  void restart();

  // Until all has been read: in slices of ids, because entries of rows that were sent, which an old
  // snapshot keeps, may be more than one statement gets past.
  void be_careful() { careful_ = true; }

  std::int64_t frontier() const { return frontier_; }
  std::size_t gaps() const { return gaps_.size(); }

 private:
  // Skipped ids. Whoever holds one drew it before a row that a snapshot already showed, and had its
  // transaction id before it drew (the column's default sees to that). So every transaction that
  // can still fill the gap is below `bound`, the next transaction id when the gap was seen.
  struct gap {
    id_range ids;
    std::uint64_t bound;
  };

  void look_into_gaps(const read_answer& answer, std::size_t taken, std::int64_t covered);
  void advance_frontier(const read_answer& answer, std::size_t taken);
  void merge_gaps();
  void expect_crowd(const read_request& request, const read_answer& answer, std::size_t taken);
  void look_at_less(read_request& request, std::int64_t span) const;
  bool may_return_known() const { return frontier_ < restarted_at_ || merged_; }

  std::size_t max_gaps_;
  std::int64_t frontier_ = 0;
  std::int64_t restarted_at_ = 0;  // the frontier before the last restart
  bool careful_ = false;
  bool merged_ = false;    // some gap spans ids that have been read
  std::size_t crowd_ = 0;  // so many of those come with each answer
  std::vector<gap> gaps_;  // ascending, disjoint, all <= frontier_
};

}  // namespace outboxd::outbox
