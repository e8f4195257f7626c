#include "relay/amqp/confirms.hpp"

#include <boost/uuid/string_generator.hpp>

#include <stdexcept>

namespace outboxd::relay::amqp {
namespace {

constexpr std::size_t uuid_text_size = 36;
constexpr std::size_t many_settled = 1'024;

std::optional<boost::uuids::uuid> parse_uuid(std::string_view text) {
  if (text.size() != uuid_text_size) return std::nullopt;
  try {
    return boost::uuids::string_generator{}(text.begin(), text.end());
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
}

}  // namespace

delivery_tag confirms::publish(const outbox::row_ref& row, time_point now) {
  slots_.push_back({row, now});
  ++unconfirmed_;
  return end_tag() - 1;
}

bool confirms::ack(delivery_tag tag, bool multiple, std::vector<outcome>& out) {
  return settle(tag, multiple, verdict::confirmed, out);
}

bool confirms::nack(delivery_tag tag, bool multiple, std::vector<outcome>& out) {
  return settle(tag, multiple, verdict::nacked, out);
}

confirms::slot* confirms::open_slot(delivery_tag tag) {
  if (tag < first_tag_) {
    const auto it = stragglers_.find(tag);
    return it == stragglers_.end() ? nullptr : &it->second;
  }
  if (tag >= end_tag()) return nullptr;
  slot& s = slots_[static_cast<std::size_t>(tag - first_tag_)];
  return s.settled ? nullptr : &s;
}

std::vector<delivery_tag> confirms::open_tags(delivery_tag last) const {
  std::vector<delivery_tag> tags;
  for (const auto& [tag, s] : stragglers_)
    if (tag <= last) tags.push_back(tag);
  for (delivery_tag tag = first_tag_; tag <= last; ++tag)
    if (!slots_[static_cast<std::size_t>(tag - first_tag_)].settled) tags.push_back(tag);
  return tags;
}

// Each tag is settled once and leaves memory once: a run of confirms costs what was published,
// however the broker groups it.
bool confirms::settle(delivery_tag tag, bool multiple, verdict what, std::vector<outcome>& out) {
  const bool everything = multiple && tag == 0;
  if (!everything && open_slot(tag) == nullptr) return false;
  if (multiple) {
    for (const delivery_tag t : open_tags(everything ? end_tag() - 1 : tag))
      settle_one(t, what, out);
  } else {
    settle_one(tag, what, out);
  }
  forget_settled();
  return true;
}

void confirms::settle_one(delivery_tag tag, verdict what, std::vector<outcome>& out) {
  out.push_back(outcome_of(tag, what));
  open_slot(tag)->settled = true;
  if (tag < first_tag_) stragglers_.erase(tag);
  --unconfirmed_;
}

outcome confirms::outcome_of(delivery_tag tag, verdict what) {
  const slot& s = *open_slot(tag);
  outcome o;
  o.ref = s.row;
  o.what = what;
  if (s.returned) {
    auto node = returns_.extract(tag);
    o.what = verdict::returned;
    o.code = node.mapped().code;
    o.text = std::move(node.mapped().text);
  } else if (what == verdict::nacked) {
    o.text = "refused by at least one queue (basic.nack)";
  }
  return o;
}

void confirms::forget_settled() {
  while (!slots_.empty() && slots_.front().settled) {
    slots_.pop_front();
    ++first_tag_;
  }
  if (slots_.size() < 2 * unconfirmed_ + many_settled) return;
  for (const slot& s : slots_) {
    if (!s.settled) stragglers_.emplace_hint(stragglers_.end(), first_tag_, s);
    ++first_tag_;
  }
  slots_.clear();
}

// A scan over what is in flight, and only when something is returned: an index by message_id would
// cost every publish.
bool confirms::returned(std::string_view message_id, int code, std::string_view text) {
  const auto id = parse_uuid(message_id);
  if (!id) return false;
  bool found = false;
  for (const delivery_tag tag : open_tags(end_tag() - 1)) {
    slot& s = *open_slot(tag);
    if (s.row.message_id != *id) continue;
    s.returned = true;
    returns_[tag] = {code, std::string(text)};
    found = true;
  }
  return found;
}

std::optional<confirms::time_point> confirms::oldest() const {
  if (!stragglers_.empty()) return stragglers_.begin()->second.published;
  if (slots_.empty()) return std::nullopt;
  return slots_.front().published;
}

void confirms::abandon(doubt why, int code, std::string_view text, std::vector<outcome>& out) {
  for (const delivery_tag tag : open_tags(end_tag() - 1)) {
    outcome o = outcome_of(tag, verdict::unknown);
    if (o.what == verdict::unknown) {
      o.why = why;
      o.code = code;
      o.text = text;
    }
    out.push_back(std::move(o));
  }
  *this = confirms{};
}

}  // namespace outboxd::relay::amqp
