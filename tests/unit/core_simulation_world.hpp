// What the relay core is simulated in: a model of the table, with transactions that commit late or
// roll back, and what has reached the consumers. One seed decides everything.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "outbox/message.hpp"
#include "outbox/store.hpp"
#include "relay/core.hpp"

namespace outboxd::relay::simulated {

using outbox::row_ref;

enum class status { open, rolled_back, pending, deferred, sent, dead };

struct table_row {
  outbox::message msg;
  std::uint64_t xid = 0;
  status state = status::open;
  time_point due_at{};
  bool scheduled = false;  // deferred from the start; holds nothing before it is due
};

struct world {
  explicit world(unsigned seed) : luck(seed) {}

  std::mt19937 luck;
  time_point now{std::chrono::hours(1)};
  std::map<std::int64_t, table_row> table;
  std::map<std::uint64_t, std::set<std::string>>
      transactions;  // open ones, and the keys they have locked
  std::uint64_t next_xid = 100;
  std::int64_t next_id = 1;
  std::int64_t epoch = 0;
  bool faults = true;
  bool outages = true;  // while there are faults: lost lanes and leads, failed statements

  std::map<std::string, std::vector<std::int64_t>> first_deliveries;  // by key
  std::set<std::int64_t> delivered;
  std::set<std::int64_t> confirmed;
  int duplicates = 0;

  bool chance(int percent) { return std::uniform_int_distribution<int>(0, 99)(luck) < percent; }
  int any(int from, int to) { return std::uniform_int_distribution<int>(from, to)(luck); }

  bool locked(const std::string& key) const {
    return std::any_of(transactions.begin(), transactions.end(),
                       [&](const auto& t) { return t.second.contains(key); });
  }

  void write() {
    if (transactions.size() < 6 && chance(50)) transactions[next_xid++];
    for (auto& [xid, keys] : transactions) {
      if (!chance(40)) continue;
      const std::string key = "k" + std::to_string(any(0, 4));
      const bool keyed = chance(70);
      if (keyed && !keys.contains(key) && locked(key)) continue;  // would wait for the other writer
      const std::int64_t id = next_id++;
      if (chance(5)) continue;  // a value drawn and never used
      if (keyed) keys.insert(key);
      table_row r;
      r.xid = xid;
      r.msg.ref.id = id;
      r.msg.ref.message_id.data[0] = static_cast<std::uint8_t>(id);
      if (keyed) r.msg.ordering_key = key;
      r.msg.body = "body";
      r.msg.body_size = 4;
      r.scheduled = chance(10);
      table[id] = r;
    }
    for (auto t = transactions.begin(); t != transactions.end();) {
      if (faults && !chance(15)) {
        ++t;
        continue;
      }
      const bool commit = chance(80);
      for (auto& [id, r] : table) {
        if (r.xid == t->first && r.state == status::open) end(r, commit);
      }
      t = transactions.erase(t);
    }
  }

  void end(table_row& r, bool commit) {
    r.state = !commit ? status::rolled_back : r.scheduled ? status::deferred : status::pending;
    r.due_at = now + std::chrono::milliseconds(any(0, 200));
  }

  std::string describe(std::int64_t id) const {
    const table_row& r = table.at(id);
    return std::to_string(id) + " key " + r.msg.ordering_key.value_or("-") + " state " +
           std::to_string(static_cast<int>(r.state)) + " attempts " +
           std::to_string(r.msg.attempts) + (r.scheduled ? " scheduled" : "");
  }

  // An earlier row of the key that can be seen and has not been confirmed.
  std::optional<std::int64_t> overtaken_by(const outbox::message& m) const {
    for (const auto& [id, r] : table) {
      if (id >= m.ref.id) break;
      const bool waits =
          r.state == status::pending || (r.state == status::deferred && r.msg.attempts > 0);
      if (waits && r.msg.ordering_key == m.ordering_key && !confirmed.contains(id)) return id;
    }
    return std::nullopt;
  }

  outbox::snapshot snapshot() const {
    return {.xmin = transactions.empty() ? next_xid : transactions.begin()->first,
            .next_xid = next_xid};
  }

  outbox::read_answer read(const outbox::read_request& q) const {
    outbox::read_answer a;
    a.snap = snapshot();
    const auto in_gap = [&](std::int64_t id) {
      return std::any_of(q.gaps.begin(), q.gaps.end(),
                         [id](auto g) { return g.first <= id && id <= g.last; });
    };
    for (const auto& [id, r] : table) {
      if (r.state == status::pending && (id > q.frontier || in_gap(id)) &&
          a.rows.size() < q.limit) {
        a.rows.push_back(answered(r, q));
      }
      if (r.state != status::deferred) continue;
      if (r.due_at <= now && a.due.size() < q.due_limit) a.due.push_back(answered(r, q));
      if (r.due_at > now) {
        const auto in = std::chrono::duration_cast<std::chrono::milliseconds>(r.due_at - now);
        a.next_due_in = std::min(a.next_due_in.value_or(in), in);
      }
    }
    if (q.below) walk(*q.below, q, a);
    return a;
  }

  void walk(const outbox::scan& s, const outbox::read_request& q, outbox::read_answer& a) const {
    std::size_t visited = 0;
    a.below_to = q.frontier;
    std::int64_t last = s.after;
    for (const auto& [id, r] : table) {
      if (r.state != status::pending || id <= s.after || id > q.frontier) continue;
      if (a.below.size() == s.rows || visited == s.visited) {
        a.below_to = last;
        return;
      }
      ++visited;
      last = id;
      const bool asked =
          s.keys.empty() || (r.msg.ordering_key && std::find(s.keys.begin(), s.keys.end(),
                                                             *r.msg.ordering_key) != s.keys.end());
      const bool left_out = s.keys.empty() && !r.msg.ordering_key &&
                            std::any_of(s.without.begin(), s.without.end(), [&](const auto& d) {
                              return d.exchange == r.msg.exchange &&
                                     (!d.routing_key || *d.routing_key == r.msg.routing_key);
                            });
      if (asked && !left_out) a.below.push_back(answered(r, q));
    }
  }

  static outbox::message answered(const table_row& r, const outbox::read_request& q) {
    outbox::message m = r.msg;
    m.due_at = std::chrono::microseconds(r.state == status::deferred ? 1 : 0);
    m.body_loaded = q.inline_total_bytes > 0 && r.msg.ref.id % 7 != 0;  // some bodies are "large"
    if (!m.body_loaded) m.body.clear();
    return m;
  }

  void deliver(const outbox::message& m) {
    if (!delivered.insert(m.ref.id).second) {
      ++duplicates;
      return;
    }
    if (m.ordering_key && !table.at(m.ref.id).scheduled)
      first_deliveries[*m.ordering_key].push_back(m.ref.id);
  }

  table_row* find(const row_ref& ref) {
    const auto it = table.find(ref.id);
    return it == table.end() || it->second.msg.ref != ref ? nullptr : &it->second;
  }
};

}  // namespace outboxd::relay::simulated
