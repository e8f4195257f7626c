#include "tests/fuzz/lane_model.hpp"

#include <boost/uuid/string_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <stdexcept>
#include <utility>

#include "tests/fuzz/fuzz.hpp"

namespace outboxd::fuzz {
namespace {

using namespace outboxd::relay;
using namespace outboxd::relay::amqp;

constexpr std::size_t most_answers = 16'384;  // bytes that wait for a server that does not read

boost::uuids::uuid id_of(std::size_t row) {
  boost::uuids::uuid id{};
  id.data[14] = static_cast<std::uint8_t>(row >> 8);
  id.data[15] = static_cast<std::uint8_t>(row);
  return id;
}

}  // namespace

lane_model::lane_model() : session_(endpoint{}) {
  session_.connected(todo_);
  obey();
}

void lane_model::feed(std::string_view bytes) {
  if (over()) return;
  std::vector<incoming> arrived;
  const auto error =
      decoder_.feed(bytes, [&](incoming&& value) { arrived.push_back(std::move(value)); });
  for (const incoming& what : arrived) {
    session_.received(what, todo_);
    obey();
  }
  if (error) {
    session_.broken(*error, todo_);
    obey();
  }
  ensure(out_.size() <= of_rows_ + most_answers, "answers that nobody reads are bounded");
}

void lane_model::publish(const std::string& exchange, std::optional<std::string> key) {
  if (!channel_open_ || blocked_) return;
  known_row& row = *rows_.emplace_back(std::make_unique<known_row>());
  row.row.ref = {static_cast<std::int64_t>(rows_.size()), id_of(rows_.size())};
  row.row.exchange = exchange;
  row.row.ordering_key = std::move(key);
  row.row.body_loaded = true;
  topology::steps steps;
  topology_.submit(row.row, {}, steps);
  follow(steps);
}

void lane_model::tick() {
  session_.tick(!out_.empty(), todo_);
  obey();
}

void lane_model::wrote() {
  out_.clear();
  of_rows_ = 0;
  session_.wrote();
}

void lane_model::close() {
  session_.close(todo_);
  obey();
}

void lane_model::timed_out() {
  session_.timed_out(todo_);
  obey();
}

void lane_model::reopen() {
  session_.reopen(todo_);
  obey();
}

void lane_model::renew() {
  if (!channel_open_ || blocked_ || !open_tags_.empty() || topology_.waiting() > 0) return;
  channel_open_ = false;
  confirms_ = {};
  session_.renew(todo_);
  obey();
}

void lane_model::finish() {
  session_.disconnected("the end", todo_);
  obey();
  ensure(hung_up_ && over(), "the end is said once");
  for (const auto& row : rows_) ensure(row->now == fate::settled, "every row gets its outcome");
}

void lane_model::obey() {
  if (std::exchange(obeying_, true)) return;
  for (std::size_t i = 0; i < todo_.size(); ++i) {
    const action next = std::move(todo_[i]);
    // Our answer to connection.close comes before it.
    ensure(!hung_up_, "nothing follows the end");
    std::visit([this](const auto& a) { act(a); }, next);
    ensure(!session_.can_publish() || !hung_up_, "nothing is published after the end");
  }
  todo_.clear();
  obeying_ = false;
}

void lane_model::act(const send_protocol_header&) {
  append_protocol_header(out_);
}
void lane_model::act(const send_start_ok& a) {
  append_start_ok(out_, {"outboxd:fuzz", "0"}, a.mechanism, a.response);
}
void lane_model::act(const send_tune_ok& a) {
  ensure(a.frame_max >= 4096, "a frame_max AMQP allows");
  ensure(a.channel_max == 0 || a.channel_max >= control_channel, "room for two channels");
  append_tune_ok(out_, a.channel_max, a.frame_max, a.heartbeat);
  decoder_.set_frame_max(a.frame_max);
}
void lane_model::act(const send_connection_open& a) {
  append_connection_open(out_, a.vhost);
}
void lane_model::act(const send_connection_close& a) {
  append_connection_close(out_, a.code, a.text);
}
void lane_model::act(const send_connection_close_ok&) {
  append_connection_close_ok(out_);
}
void lane_model::act(const send_channel_open& a) {
  decoder_.open_channel(a.channel);
  append_channel_open(out_, a.channel);
}
void lane_model::act(const send_channel_close& a) {
  append_channel_close(out_, a.channel, a.code, a.text);
}
void lane_model::act(const send_channel_close_ok& a) {
  append_channel_close_ok(out_, a.channel);
  decoder_.close_channel(a.channel);
}
void lane_model::act(const send_channel_flow_ok& a) {
  append_channel_flow_ok(out_, a.channel, a.active);
}
void lane_model::act(const send_confirm_select& a) {
  append_confirm_select(out_, a.channel);
}
void lane_model::act(const send_heartbeat&) {
  append_heartbeat(out_);
}

void lane_model::act(const confirm_channel_opened&) {
  ensure(!channel_open_, "a channel opens once");
  channel_open_ = true;
  last_tag_ = 0;
}
void lane_model::act(const confirm_channel_lost&) {
  abandon(doubt::channel_closed);
}
void lane_model::act(const control_channel_opened&) {
  topology::steps steps;
  topology_.control_opened(steps);
  follow(steps);
}
void lane_model::act(const control_channel_lost& a) {
  topology::steps steps;
  topology_.control_closed(a.code, a.text, steps);
  follow(steps);
}
void lane_model::act(const publishing_blocked&) {
  ensure(!std::exchange(blocked_, true), "blocked once");
}
void lane_model::act(const publishing_unblocked&) {
  ensure(std::exchange(blocked_, false), "unblocked once");
}
void lane_model::act(const hang_up&) {
  hung_up_ = true;
  topology_.disconnected();
  abandon(doubt::connection_lost);
}

void lane_model::act(const basic_ack& a) {
  confirmed(a.tag, a.multiple, verdict::confirmed);
}
void lane_model::act(const basic_nack& a) {
  confirmed(a.tag, a.multiple, verdict::nacked);
}

void lane_model::act(const basic_return& a) {
  bool expected = false;
  try {
    const auto id = boost::uuids::string_generator{}(a.message_id);
    for (const auto& [tag, row] : open_tags_)
      if (row->row.ref.message_id == id) expected = row->returned = true;
  } catch (const std::runtime_error&) {  // no uuid, so none of ours
  }
  const bool believed = confirms_.returned(a.message_id, a.code, a.text);
  ensure(believed == expected, "only what is unconfirmed can be returned");
  if (!believed) session_.broken({503, "a return of nothing"}, todo_);
}

void lane_model::act(const exchange_declare_ok&) {
  topology::steps steps;
  const bool asked = topology_.declared(steps);
  follow(steps);
  if (!asked) session_.broken({503, "an answer to nothing"}, todo_);
}

// What a tag means, told by a map of the tags that are open.
void lane_model::confirmed(delivery_tag tag, bool multiple, verdict what) {
  std::vector<known_row*> expected;
  for (const auto& [open, row] : open_tags_)
    if (multiple ? tag == 0 || open <= tag : open == tag) expected.push_back(row);
  const bool sensible = open_tags_.contains(tag) || (multiple && tag == 0);
  if (!sensible) expected.clear();

  std::vector<outcome> found;
  const bool believed = what == verdict::confirmed ? confirms_.ack(tag, multiple, found)
                                                   : confirms_.nack(tag, multiple, found);
  ensure(believed == sensible, "a confirm names a tag that is open");
  ensure(found.size() == expected.size(), "a confirm settles what it names");
  for (std::size_t i = 0; i < found.size(); ++i) {
    ensure(&settle(found[i]) == expected[i], "a confirm settles what it names, in order");
    ensure(found[i].what == (expected[i]->returned ? verdict::returned : what),
           "a returned row is never confirmed");
  }
  std::erase_if(open_tags_, [](const auto& open) { return open.second->now == fate::settled; });
  ensure(confirms_.unconfirmed() == open_tags_.size(), "what is unconfirmed");
  if (!believed) session_.broken({503, "a confirm of nothing"}, todo_);
}

void lane_model::follow(const topology::steps& steps) {
  const std::size_t before = out_.size();
  for (const std::string& exchange : steps.declare)
    append_exchange_declare_passive(out_, control_channel, exchange);
  for (const outcome& o : steps.refused)
    ensure(settle(o).row.ref == o.ref && o.what != verdict::confirmed, "refused, never sent");
  for (const outbox::message* row : steps.publish) {
    known_row& mine = *rows_.at(static_cast<std::size_t>(row->ref.id) - 1);
    ensure(channel_open_ && !hung_up_, "rows are written to an open channel");
    ensure(mine.now == fate::submitted, "a row is written once");
    if (const auto rejected =
            append_publish(out_, confirm_channel, *row, session_.frame_max(), 1024)) {
      settle({row->ref, rejected->what, doubt::none, 0, rejected->text});
      continue;
    }
    mine.now = fate::published;
    ensure(confirms_.publish(row->ref, {}) == ++last_tag_, "tags count from 1 on each channel");
    open_tags_[last_tag_] = &mine;
  }
  of_rows_ += out_.size() - before;
}

void lane_model::abandon(doubt why) {
  channel_open_ = false;
  std::vector<outcome> found;
  confirms_.abandon(why, 0, "gone", found);
  ensure(found.size() == open_tags_.size(), "what was unconfirmed gets an outcome");
  for (const outcome& o : found) {
    const known_row& row = settle(o);
    ensure(o.what == (row.returned ? verdict::returned : verdict::unknown), "doubt stays doubt");
  }
  open_tags_.clear();
  for (const outbox::row_ref& ref : topology_.abandon()) {
    known_row& row = *rows_.at(static_cast<std::size_t>(ref.id) - 1);
    ensure(std::exchange(row.now, fate::settled) == fate::submitted, "a row waits once");
  }
}

lane_model::known_row& lane_model::settle(const outcome& o) {
  known_row& row = *rows_.at(static_cast<std::size_t>(o.ref.id) - 1);
  ensure(row.row.ref == o.ref, "an outcome names a row");
  ensure(row.now != fate::settled, "one outcome for each row");
  ensure(row.now == fate::published || o.what != verdict::confirmed, "confirmed: it was published");
  row.now = fate::settled;
  return row;
}

}  // namespace outboxd::fuzz
