#include "outbox/reader.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace outboxd::outbox {

namespace {

// Rows that come again and again without need: more would cost too much memory
// at once.
constexpr std::size_t largest_crowd = 16'384;

}  // namespace

std::int64_t reader::covered_by(const read_request& request, const read_answer& answer,
                                std::size_t taken) {
  if (taken < answer.rows.size()) return answer.rows[taken].ref.id - 1;
  if (answer.rows.size() < request.limit) return answer.up_to.value_or(last_id);
  return answer.rows.empty() ? 0 : answer.rows.back().ref.id;
}

void reader::ask(read_request& request, std::size_t known, std::int64_t span) const {
  request.frontier = frontier_;
  request.gaps.clear();
  request.gaps.reserve(gaps_.size());
  for (const gap& g : gaps_) request.gaps.push_back(g.ids);
  if (request.limit > 0 && may_return_known()) request.limit += known + crowd_;
  if (careful_ && span > 0) look_at_less(request, span);
}

// What lies above gaps that are left out is not read either: an earlier row of its key may have
// come to lie in them. A slice that was passed is a gap, and so is looked into beside the next one.
void reader::look_at_less(read_request& request, std::int64_t span) const {
  std::int64_t room = 2 * span;
  for (auto g = request.gaps.begin(); g != request.gaps.end(); ++g) {
    const std::int64_t ids = g->last - g->first + 1;
    if (ids > room) {
      g->last = g->first + room - 1;
      request.to = g->last;
      request.gaps.erase(room > 0 ? g + 1 : g, request.gaps.end());
      return;
    }
    room -= ids;
  }
  request.span = span;
}

void reader::answered(const read_request& request, const read_answer& answer, std::size_t taken) {
  const std::int64_t covered = covered_by(request, answer, taken);
  look_into_gaps(answer, taken, covered);
  expect_crowd(request, answer, taken);
  advance_frontier(answer, taken);
  if (covered == last_id) careful_ = false;
  if (covered == answer.up_to && covered > frontier_) {
    gaps_.push_back({{frontier_ + 1, covered}, answer.snap.next_xid});
    frontier_ = covered;
  }
  if (gaps_.size() > max_gaps_) merge_gaps();
}

void reader::restart() {
  restarted_at_ = std::max(restarted_at_, frontier_);
  frontier_ = 0;
  gaps_.clear();
  merged_ = false;
  crowd_ = 0;
}

// Rows behind a hold stay pending, so those in merged gaps are found with every
// look. Found, they leave their gap, but that makes two of it, which are merged
// again. An answer full of them would never get to the frontier.
void reader::expect_crowd(const read_request& request, const read_answer& answer,
                          std::size_t taken) {
  if (!merged_) {
    crowd_ = 0;
    return;
  }
  if (request.limit == 0) return;
  const auto below = static_cast<std::size_t>(
      std::count_if(answer.rows.begin(), answer.rows.begin() + static_cast<std::ptrdiff_t>(taken),
                    [this](const message& m) { return m.ref.id <= frontier_; }));
  const bool nothing_else = below == answer.rows.size() && below >= request.limit;
  crowd_ = std::min(nothing_else ? std::max(2 * crowd_, request.limit) : below, largest_crowd);
}

// Rows found in a gap leave it. What was looked at and found empty is forgotten
// once every transaction that could fill it had ended before the answer's
// snapshot.
void reader::look_into_gaps(const read_answer& answer, std::size_t taken, std::int64_t covered) {
  std::vector<gap> left;
  left.reserve(gaps_.size());
  std::size_t next = 0;
  for (const gap& g : gaps_) {
    const bool settled = g.bound <= answer.snap.xmin;
    const std::int64_t looked_at = std::min(covered, g.ids.last);
    std::int64_t from = g.ids.first;
    const auto keep = [&](std::int64_t last) {
      if (from <= last && !settled) left.push_back({{from, last}, g.bound});
    };
    for (; next < taken && answer.rows[next].ref.id <= looked_at; ++next) {
      const std::int64_t id = answer.rows[next].ref.id;
      if (id < from) continue;
      keep(id - 1);
      from = id + 1;
    }
    keep(looked_at);
    from = std::max(from, looked_at + 1);
    if (from <= g.ids.last) left.push_back({{from, g.ids.last}, g.bound});
  }
  gaps_ = std::move(left);
  if (gaps_.empty()) merged_ = false;
}

void reader::advance_frontier(const read_answer& answer, std::size_t taken) {
  for (std::size_t i = 0; i < taken; ++i) {
    const std::int64_t id = answer.rows[i].ref.id;
    if (id <= frontier_) continue;
    if (id > frontier_ + 1) gaps_.push_back({{frontier_ + 1, id - 1}, answer.snap.next_xid});
    frontier_ = id;
  }
}

// At the bound, neighbours that lie closest together become one: a gap may be
// looked into needlessly, but is never dropped.
void reader::merge_gaps() {
  std::vector<std::pair<std::int64_t, std::size_t>> distances;
  distances.reserve(gaps_.size());
  for (std::size_t i = 0; i + 1 < gaps_.size(); ++i) {
    distances.emplace_back(gaps_[i + 1].ids.first - gaps_[i].ids.last, i);
  }
  // Down to half, so that the work is paid for by as many gaps to come.
  const std::size_t surplus = std::min(gaps_.size() - max_gaps_ / 2, distances.size());
  std::nth_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(surplus - 1),
                   distances.end());
  std::vector<bool> joins_next(gaps_.size(), false);
  for (std::size_t i = 0; i < surplus; ++i) joins_next[distances[i].second] = true;

  std::vector<gap> merged;
  bool join = false;
  for (std::size_t i = 0; i < gaps_.size(); ++i) {
    if (join) {
      merged.back().ids.last = gaps_[i].ids.last;
      merged.back().bound = std::max(merged.back().bound, gaps_[i].bound);
    } else {
      merged.push_back(gaps_[i]);
    }
    join = joins_next[i];
  }
  gaps_ = std::move(merged);
  merged_ = true;
}

}  // namespace outboxd::outbox
