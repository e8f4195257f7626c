// The service's side of the store in memory, and what tests see of it and do to it.
#include "tests/support/memory_store.hpp"

#include <algorithm>
#include <utility>

namespace outboxd::tests {

using outbox::message;
using outbox::row_ref;

row_ref memory_store::insert(message data, std::optional<time_point> not_before) {
  const auto t = begin();
  const auto ref = insert(t, std::move(data), not_before);
  commit(t);
  return ref;
}

memory_store::transaction memory_store::begin() {
  open_.insert(next_transaction_);
  return next_transaction_++;
}

row_ref memory_store::insert(transaction by, message data, std::optional<time_point> not_before) {
  memory_row row;
  row.data = std::move(data);
  row.data.ref.id = next_id_++;
  row.data.ref.message_id = boost::uuids::uuid{};
  for (std::size_t i = 0; i < 4; ++i) {
    row.data.ref.message_id.data[15 - i] = static_cast<std::uint8_t>(next_message_ >> (8 * i));
  }
  ++next_message_;
  row.data.body_size = row.data.body.size();
  row.data.headers_size = row.data.headers ? row.data.headers->size() : 0;
  row.data.created_at = now_;
  row.data.attempts = 0;
  row.not_before = not_before;
  if (not_before && *not_before > now_) {
    row.status = row_status::deferred;
    row.due_at = not_before;
  }
  row.written_by = by;
  const auto ref = row.data.ref;
  rows_[ref.id] = std::move(row);
  return ref;
}

void memory_store::commit(transaction t) {
  open_.erase(t);
  std::erase_if(locks_, [t](const auto& lock) { return lock.second == t; });
}

void memory_store::roll_back(transaction t) {
  std::erase_if(rows_, [t](const auto& entry) { return entry.second.written_by == t; });
  commit(t);
}

const memory_row* memory_store::find(std::int64_t id) const {
  const auto it = rows_.find(id);
  return it != rows_.end() && visible(it->second) ? &it->second : nullptr;
}

std::size_t memory_store::count(row_status status) const {
  return static_cast<std::size_t>(std::ranges::count_if(rows_, [&](const auto& entry) {
    return entry.second.status == status && visible(entry.second);
  }));
}

row_ref memory_store::reissue(std::int64_t id) {
  const auto data = rows_.at(id).data;
  const auto highest = std::exchange(next_id_, id);
  const auto ref = insert(data);
  next_id_ = highest;
  return ref;
}

void memory_store::replay(std::int64_t id) {
  memory_row& row = rows_.at(id);
  row.status = row_status::deferred;
  row.due_at = now_;
  row.data.attempts = 0;
  row.failing_since.reset();
}

}  // namespace outboxd::tests
