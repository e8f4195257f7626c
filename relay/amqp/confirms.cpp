#include "relay/amqp/confirms.hpp"

#include <boost/uuid/string_generator.hpp>

#include <stdexcept>

namespace outboxd::relay::amqp {
namespace {

constexpr std::size_t uuid_text_size = 36;

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

bool confirms::is_open(delivery_tag tag) const {
  return tag >= first_tag_ && tag < end_tag() &&
         !slots_[static_cast<std::size_t>(tag - first_tag_)].settled;
}

// Each tag is settled once and leaves the deque once: a run of confirms costs what was published,
// however the broker groups it.
bool confirms::settle(delivery_tag tag, bool multiple, verdict what, std::vector<outcome>& out) {
  const bool everything = multiple && tag == 0;
  if (!everything && !is_open(tag)) return false;
  if (multiple) {
    const delivery_tag last = everything ? end_tag() - 1 : tag;
    for (delivery_tag t = first_tag_; t <= last; ++t)
      if (!at(t).settled) settle_one(t, what, out);
  } else {
    settle_one(tag, what, out);
  }
  drop_settled_front();
  return true;
}

void confirms::settle_one(delivery_tag tag, verdict what, std::vector<outcome>& out) {
  out.push_back(outcome_of(tag, what));
  at(tag).settled = true;
  --unconfirmed_;
}

outcome confirms::outcome_of(delivery_tag tag, verdict what) {
  const slot& s = at(tag);
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

void confirms::drop_settled_front() {
  while (!slots_.empty() && slots_.front().settled) {
    slots_.pop_front();
    ++first_tag_;
  }
}

// A scan over what is in flight, and only when something is returned: an index by message_id would
// cost every publish.
bool confirms::returned(std::string_view message_id, int code, std::string_view text) {
  const auto id = parse_uuid(message_id);
  if (!id) return false;
  bool found = false;
  for (delivery_tag tag = first_tag_; tag < end_tag(); ++tag) {
    slot& s = at(tag);
    if (s.settled || s.row.message_id != *id) continue;
    s.returned = true;
    returns_[tag] = {code, std::string(text)};
    found = true;
  }
  return found;
}

std::optional<confirms::time_point> confirms::oldest() const {
  if (slots_.empty()) return std::nullopt;
  return slots_.front().published;
}

void confirms::abandon(doubt why, int code, std::string_view text, std::vector<outcome>& out) {
  for (delivery_tag tag = first_tag_; tag < end_tag(); ++tag) {
    if (at(tag).settled) continue;
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
