// Owns the rows in memory and counts their bytes. Also knows which rows were in memory at any
// moment since a read was sent: that read's answer may show them as they were before, so it is not
// believed about them.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <memory>
#include <string>
#include <utility>

#include "relay/pool.hpp"
#include "relay/row.hpp"

namespace outboxd::relay {

class row_table {
 public:
  // Precondition: !knows(message.ref).
  row& add(outbox::message&& message, time_point now) {
    auto taken = pool_.take();
    row& r = *taken;
    r.msg = std::move(message);
    r.read_at = now;
    bytes_ += bytes_of(r.msg);
    if (r.msg.deferred) ++deferred_;
    rows_.emplace(r.msg.ref, std::move(taken));
    return r;
  }

  row* find(const outbox::row_ref& ref) {
    const auto it = rows_.find(ref);
    return it == rows_.end() ? nullptr : it->second.get();
  }

  void remove(row& r) {
    if (read_out_) gone_.insert(r.msg.ref);
    bytes_ -= bytes_of(r.msg);
    if (r.msg.deferred) --deferred_;
    const auto it = rows_.find(r.msg.ref);
    auto removed = std::move(it->second);
    rows_.erase(it);
    pool_.give_back(std::move(removed));
  }

  void put_body(row& r, outbox::loaded_body&& loaded) {
    bytes_ -= bytes_of(r.msg);
    r.msg.body = std::move(loaded.body);
    r.msg.headers = std::move(loaded.headers);
    bytes_ += bytes_of(r.msg);
    r.msg.body_loaded = true;
  }

  void drop_body(row& r) {
    bytes_ -= bytes_of(r.msg);
    std::string().swap(r.msg.body);
    r.msg.headers.reset();
    r.msg.body_loaded = false;
  }

  void read_sent() { read_out_ = true; }
  void read_answered() {
    read_out_ = false;
    gone_.clear();
  }

  // In memory, or was at some moment since the read was sent.
  bool knows(const outbox::row_ref& ref) const {
    return rows_.contains(ref) || gone_.contains(ref);
  }

  std::size_t size() const { return rows_.size(); }
  // Of bodies and headers.
  std::size_t bytes() const { return bytes_; }
  // Rows that the table calls deferred: they fell due.
  std::size_t deferred() const { return deferred_; }
  const auto& all() const { return rows_; }

 private:
  static std::size_t bytes_of(const outbox::message& m) {
    return m.body.size() + (m.headers ? m.headers->size() : 0);
  }

  pool<row> pool_;
  boost::unordered_flat_map<outbox::row_ref, std::unique_ptr<row>, outbox::row_ref_hash> rows_;
  boost::unordered_flat_set<outbox::row_ref, outbox::row_ref_hash> gone_;
  std::size_t bytes_ = 0;
  std::size_t deferred_ = 0;
  bool read_out_ = false;
};

}  // namespace outboxd::relay
