#include "tests/chaos/checker.hpp"

#include <algorithm>
#include <unordered_map>

namespace outboxd::chaos {
namespace {

constexpr std::size_t examples_kept = 10;

// An incident can make the same message come again, and once more when its quarantine begins; some
// time after it: a confirm timeout, a recovery.
constexpr std::size_t copies_for_an_incident = 2;
constexpr moment aftermath{30'000};

// Of a message in a queue.
struct arrival {
  moment at{0};
  std::size_t copies = 0;  // after the first
};

std::string name(const written_row& row) {
  return "row " + std::to_string(row.id) + " (" + row.message_id + ")" +
         (row.key ? " of key " + *row.key : "");
}

class judgement {
 public:
  explicit judgement(const facts& found) : facts_(found) {
    for (const written_row& row : found.written) rows_.try_emplace(row.message_id, &row);
    for (const table_row& row : found.table) table_.try_emplace(row.message_id, &row);
  }

  verdict reach() {
    count_fates();
    one_body_for_each_id();
    for (const delivery& d : facts_.deliveries) see(d);
    for (const written_row& row : facts_.written) ended_well(row);
    bounded_duplicates();
    for (const std::string& crash : facts_.crashes) broken(promise::survives, crash);
    return std::move(verdict_);
  }

 private:
  void broken(promise p, const std::string& what) {
    breach& b = verdict_.breaches[static_cast<std::size_t>(p)];
    if (++b.count <= examples_kept) b.examples.push_back(what);
  }

  void count_fates() {
    for (const written_row& row : facts_.written) {
      verdict_.committed += row.outcome == fate::committed ? 1 : 0;
      verdict_.rolled_back += row.outcome == fate::rolled_back ? 1 : 0;
      verdict_.forgotten += row.outcome == fate::forgotten ? 1 : 0;
      verdict_.poisoned += row.bad != poison::none && row.outcome == fate::committed ? 1 : 0;
    }
  }

  // Also among rows that a crash has made the database forget.
  void one_body_for_each_id() {
    for (const written_row& row : facts_.written) {
      if (row.body_hash != rows_.at(row.message_id)->body_hash)
        broken(promise::one_body_per_id, name(row));
    }
  }

  void see(const delivery& d) {
    const auto found = rows_.find(d.message_id);
    const std::string where = " in " + d.queue;
    if (found == rows_.end()) {
      broken(promise::no_phantom, "nobody wrote " + d.message_id + where);
      return;
    }
    const written_row& row = *found->second;
    if (row.outcome == fate::rolled_back) broken(promise::no_phantom, name(row) + where);
    if (row.bad != poison::none)
      broken(promise::dead_for_a_reason, name(row) + " arrived" + where);
    else if (std::ranges::find(row.queues, d.queue) == row.queues.end())
      broken(promise::unaltered, name(row) + " went astray" + where);
    if (row.body_hash != d.body_hash || row.key != d.key || row.id != d.id)
      broken(promise::unaltered, name(row) + where);
    if (row.not_before && d.at < *row.not_before) {
      broken(promise::not_too_early,
             name(row) + where + ": " + std::to_string((*row.not_before - d.at).count()) + " ms");
    }
    const auto [before, first] = arrived_[d.queue].try_emplace(&row, arrival{.at = d.at});
    if (first) {
      arrived_first(d, row);
    } else if (d.redelivered) {
      ++verdict_.redelivered;
    } else {
      duplicate(d, before->second);
    }
  }

  // A forgotten row had an id that the database has given away again: it has no place in an order.
  // Nor has one that the broker gave before to a consumer which is gone.
  void arrived_first(const delivery& d, const written_row& row) {
    ++verdict_.delivered;
    if (!row.key || row.not_before || row.outcome != fate::committed || d.redelivered) return;
    auto& last = last_[d.queue][*row.key];
    if (last != nullptr && last->id > row.id && facts_.keeps_order)
      broken(promise::in_order, name(row) + " after " + name(*last) + " in " + d.queue);
    last = &row;
  }

  void duplicate(const delivery& d, arrival& before) {
    ++verdict_.duplicates;
    const incident* cause = nullptr;
    std::size_t possible = 0;
    for (const incident& i : facts_.incidents) {
      if (i.from > d.at) continue;
      if (cause == nullptr || i.to > cause->to) cause = &i;
      if (i.to + aftermath >= before.at) possible += copies_for_an_incident;
    }
    ++verdict_.duplicates_after[cause == nullptr ? "none" : cause->kind];
    if (++before.copies > possible) {
      broken(promise::few_duplicates,
             d.message_id + " came " + std::to_string(before.copies + 1) + " times to " + d.queue);
    }
  }

  bool arrived(const written_row& row, const std::string& queue) const {
    const auto in = arrived_.find(queue);
    return in != arrived_.end() && in->second.contains(&row);
  }

  void ended_well(const written_row& row) {
    if (row.outcome != fate::committed) return;
    const auto found = table_.find(row.message_id);
    if (found == table_.end() && facts_.keeps_sent) {
      broken(promise::kept, name(row));
      return;
    }
    static const table_row sent_and_deleted{.status = "sent"};
    const table_row& now = found == table_.end() ? sent_and_deleted : *found->second;
    const std::string state =
        name(row) + " is " + now.status + (now.last_error.empty() ? "" : ", " + now.last_error);
    const bool waits = now.status == "pending" || now.status == "deferred";
    switch (row.bad) {
      case poison::none:
        if (now.status == "dead") broken(promise::dead_for_a_reason, state);
        if (waits) broken(promise::not_stuck, state);
        if (!waits) expect_arrival(row, now.status == "sent");
        break;
      case poison::invalid:
        expect_dead(now, "invalid:", state);
        break;
      case poison::refused:
        expect_dead(now, "refused:", state);
        break;
      case poison::too_large:
        expect_dead(now, "too_large:", state);
        break;
      case poison::no_exchange:
      case poison::unroutable:
        if (!waits) broken(promise::dead_for_a_reason, state);
        break;
    }
  }

  void expect_dead(const table_row& now, std::string_view reason, const std::string& state) {
    if (now.status == "pending" || now.status == "deferred") {
      broken(promise::not_stuck, state);
    } else if (now.status != "dead" || !now.last_error.starts_with(reason)) {
      broken(promise::dead_for_a_reason, state);
    }
  }

  void expect_arrival(const written_row& row, bool sent) {
    for (const std::string& queue : row.queues) {
      if (facts_.lossy_queues.contains(queue) || arrived(row, queue)) continue;
      broken(promise::delivered, name(row) + " in " + queue);
      if (sent) broken(promise::sent_is_arrived, name(row) + " in " + queue);
    }
  }

  void bounded_duplicates() {
    for (const incident& i : facts_.incidents) verdict_.duplicates_allowed += i.allowance;
    if (verdict_.duplicates <= verdict_.duplicates_allowed) return;
    broken(promise::few_duplicates, std::to_string(verdict_.duplicates) + ", and " +
                                        std::to_string(verdict_.duplicates_allowed) +
                                        " can be explained");
  }

  const facts& facts_;
  std::unordered_map<std::string, const written_row*> rows_;
  std::unordered_map<std::string, const table_row*> table_;
  std::unordered_map<std::string, std::unordered_map<const written_row*, arrival>> arrived_;
  std::unordered_map<std::string, std::unordered_map<std::string, const written_row*>> last_;
  verdict verdict_;
};

}  // namespace

std::string_view to_string(promise p) {
  switch (p) {
    case promise::delivered:
      return "committed, so delivered";
    case promise::no_phantom:
      return "rolled back, so never seen";
    case promise::sent_is_arrived:
      return "sent, so arrived";
    case promise::in_order:
      return "in order per key";
    case promise::few_duplicates:
      return "few duplicates";
    case promise::not_stuck:
      return "nothing stuck";
    case promise::dead_for_a_reason:
      return "nothing dead without reason";
    case promise::unaltered:
      return "unaltered";
    case promise::one_body_per_id:
      return "one body per message_id";
    case promise::not_too_early:
      return "scheduled, so not too early";
    case promise::kept:
      return "no row vanishes";
    case promise::survives:
      return "no sidecar crashes";
  }
  return "?";
}

bool verdict::holds() const {
  return std::ranges::all_of(breaches, [](const breach& b) { return b.count == 0; });
}

verdict judge(const facts& found) {
  return judgement(found).reach();
}

}  // namespace outboxd::chaos
