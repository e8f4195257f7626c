#include "relay/amqp/lane.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace outboxd::relay::amqp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

// Rows are encoded up to here; the others wait as they are until the socket has taken some.
constexpr std::size_t enough_output = 1 << 20;
constexpr milliseconds shortest_check{50};

}  // namespace

lane::lane(lane_id id, const asio::any_io_executor& executor, lane_options options,
           base::logger& log)
    : id_(id),
      options_(std::move(options)),
      log_(log),
      executor_(executor),
      confirm_timer_(executor),
      link_(std::make_shared<link>(executor, options_.link, log, *this)) {}

lane::~lane() {
  link_->detach();
}

void lane::start(publisher_events& events) {
  events_ = &events;
  if (stopping_) return;
  link_->start();
  watch_confirms();
}

void lane::stop(milliseconds limit, std::function<void()> done) {
  stopping_ = true;
  confirm_timer_.cancel();
  link_->stop(limit, std::move(done));
}

void lane::retire(const std::string& text, milliseconds limit, std::function<void()> done) {
  close_lane(doubt::connection_lost, 0, text);
  stop(limit, std::move(done));
}

// ---- publishing

void lane::publish(const outbox::message& row) {
  assert(open_ && !blocked_ && row.body_loaded);
  if (topology_.passes(row)) {
    ready_.push_back(&row);
    fill_output();
    return;
  }
  topology::steps steps;
  topology_.submit(row, now(), steps);
  follow(std::move(steps));
}

void lane::renew() {
  assert(open_ && !blocked_ && ready_.empty() && !oldest());
  open_ = channel_open_ = false;
  link_->current()->renew();
}

void lane::follow(topology::steps steps) {
  for (const std::string& exchange : steps.declare) link_->current()->declare(exchange);
  ready_.insert(ready_.end(), steps.publish.begin(), steps.publish.end());
  if (!steps.refused.empty()) {
    std::move(steps.refused.begin(), steps.refused.end(), std::back_inserter(batch_));
    deliver_later();
  }
  fill_output();
}

void lane::fill_output() {
  if (!open_ || blocked_ || ready_.empty()) return;
  const auto at = now();
  connection& wire = *link_->current();
  while (!ready_.empty() && wire.buffered() < enough_output) {
    const outbox::message& row = *ready_.front();
    ready_.pop_front();
    encode(row, at);
  }
  wire.flush();
}

void lane::encode(const outbox::message& row, confirms::time_point at) {
  connection& wire = *link_->current();
  auto rejected = append_publish(wire.output(), confirm_channel, row, wire.frame_max(),
                                 options_.max_message_size);
  if (!rejected) {
    confirms_.publish(row.ref, at);
    return;
  }
  batch_.push_back({row.ref, rejected->what, doubt::none, 0, std::move(rejected->text)});
  deliver_later();
}

// ---- what the connection says

void lane::opened() {
  confirms_ = {};
  channel_open_ = true;
  open_lane();
}

// A lane opens unblocked.
void lane::open_lane() {
  if (!channel_open_ || blocked_ || open_) return;
  open_ = true;
  events_->lane_opened(id_);
}

void lane::channel_lost(int code, const std::string& text) {
  close_lane(doubt::channel_closed, code, text);
}

void lane::lost(doubt why, int code, const std::string& text) {
  topology_.disconnected();
  blocked_ = false;
  clock_.resume(std::chrono::steady_clock::now());
  close_lane(why, code, text);
}

void lane::blocked(bool is_blocked, const std::string& reason) {
  const auto real_now = std::chrono::steady_clock::now();
  blocked_ = is_blocked;
  if (is_blocked) {
    clock_.pause(real_now);
  } else {
    clock_.resume(real_now);
  }
  if (open_) events_->lane_blocked(id_, is_blocked, reason);
  open_lane();
  fill_output();
}

bool lane::acked(delivery_tag tag, bool multiple) {
  return confirms_.ack(tag, multiple, batch_);
}

bool lane::nacked(delivery_tag tag, bool multiple) {
  return confirms_.nack(tag, multiple, batch_);
}

bool lane::returned(const basic_return& message) {
  return confirms_.returned(message.message_id, message.code, message.text);
}

void lane::control_opened() {
  topology::steps steps;
  topology_.control_opened(steps);
  follow(std::move(steps));
}

bool lane::declared() {
  topology::steps steps;
  const bool asked = topology_.declared(steps);
  follow(std::move(steps));
  return asked;
}

void lane::control_lost(int code, const std::string& text) {
  topology::steps steps;
  topology_.control_closed(code, text, steps);
  if (!steps.refused.empty()) {
    log_.warn("amqp.exchange_missing", {{"lane", id_},
                                        {"exchange", steps.refused_exchange},
                                        {"code", code},
                                        {"text", text},
                                        {"rows", steps.refused.size()}});
  }
  follow(std::move(steps));
}

void lane::read_done() {
  deliver();
}

void lane::writable() {
  fill_output();
}

// ---- outcomes

void lane::close_lane(doubt why, int code, const std::string& text) {
  channel_open_ = false;
  confirms_.abandon(why, code, text, batch_);
  for (const outbox::message* row : std::exchange(ready_, {})) {
    batch_.push_back({row->ref, verdict::unknown, why, code, text});
  }
  for (const outbox::row_ref& ref : topology_.abandon()) {
    batch_.push_back({ref, verdict::unknown, why, code, text});
  }
  // First that it is closed: whoever hears of an outcome may publish again at once.
  if (std::exchange(open_, false)) events_->lane_closed(id_, why, code, text);
  deliver();
}

void lane::deliver() {
  if (batch_.empty()) return;
  const std::vector<outcome> batch = std::exchange(batch_, {});
  events_->outcomes(id_, batch);
}

// No event is raised from inside publish().
void lane::deliver_later() {
  if (std::exchange(delivery_posted_, true)) return;
  asio::post(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->delivery_posted_ = false;
      self->deliver();
    }
  });
}

// ---- the confirm timeout

confirms::time_point lane::now() const {
  return clock_.at(std::chrono::steady_clock::now());
}

std::optional<confirms::time_point> lane::oldest() const {
  const auto published = confirms_.oldest();
  const auto waiting = topology_.oldest();
  if (published && waiting) return std::min(*published, *waiting);
  return published ? published : waiting;
}

void lane::watch_confirms() {
  if (stopping_) return;  // what check_confirms() tells the owner may end in stop()
  const auto since = oldest();
  const auto age = since ? std::chrono::duration_cast<milliseconds>(now() - *since) : 0ms;
  confirm_timer_.expires_after(std::max(options_.confirm_timeout - age, shortest_check));
  confirm_timer_.async_wait([weak = weak_from_this()](boost::system::error_code cancelled) {
    if (cancelled) return;
    if (const auto self = weak.lock()) self->check_confirms();
  });
}

void lane::check_confirms() {
  if (stopping_) return;  // its handler was queued already when stop() cancelled the timer
  const auto since = oldest();
  if (since && now() - *since >= options_.confirm_timeout) {
    log_.warn("amqp.confirm_timeout",
              {{"lane", id_},
               {"unconfirmed", confirms_.unconfirmed() + topology_.waiting()},
               {"timeout_ms", options_.confirm_timeout.count()}});
    link_->current()->give_up(doubt::timeout, "no confirm within the confirm timeout");
  }
  watch_confirms();
}

}  // namespace outboxd::relay::amqp
