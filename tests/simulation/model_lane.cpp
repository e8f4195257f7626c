#include "tests/simulation/model_lane.hpp"

#include <utility>

namespace outboxd::simulation {

using relay::doubt;
using relay::outcome;
using relay::verdict;

void model_lane::connect(relay::publisher_events& events) {
  if (!connection_) {
    connection_ = broker_.connect();
  } else {
    broker_.reopen_channel(*connection_);
  }
  confirms_ = {};
  tags_.clear();
  next_tag_ = 1;
  channel_open_ = true;
  if (!blocked_) {
    open_ = true;
    events.lane_opened(id_);
  }
}

void model_lane::publish(const outbox::message& row) {
  require(open_ && !blocked_ && row.body_loaded, invariant::lanes_respected,
          "lane " + std::to_string(id_) + (open_ ? " is open" : " is closed") +
              (blocked_ ? " and blocked" : "") + ": " + checker_.describe(row.ref));
  in_flight_.emplace(row.ref, fact{});
  if (checker_.of(row.ref).what == nature::invalid) {
    batch_.push_back({row.ref, verdict::invalid, doubt::none, 0, "cannot be encoded"});
    return;
  }
  topology::steps steps;
  topology_.submit(row, now(), steps);
  follow(std::move(steps));
}

void model_lane::renew() {
  require(open_ && !blocked_ && in_flight_.empty(), invariant::lanes_respected,
          "lane " + std::to_string(id_) + " is opened anew with rows in flight");
  open_ = channel_open_ = false;
}

void model_lane::follow(topology::steps steps) {
  for (const std::string& exchange : steps.declare) broker_.declare(*connection_, exchange);
  for (const outbox::message* row : steps.publish) {
    confirms_.publish(row->ref, now());
    tags_[next_tag_++] = row->ref;
    broker_.write(*connection_, *row);
  }
  for (outcome& o : steps.refused) batch_.push_back(std::move(o));
}

void model_lane::step(relay::publisher_events& events) {
  if (!connection_) return;
  if (!control_open_ && luck_.per_cent(40)) {
    control_open_ = true;
    topology::steps steps;
    topology_.control_opened(steps);
    follow(std::move(steps));
  }
  if (luck_.per_cent(60)) {
    for (const frame& f :
         broker_.receive(*connection_, static_cast<std::size_t>(luck_.any(1, 12)))) {
      obey(f, events);
      if (!connection_) return;
    }
  }
  deliver(events);
  const auto published = confirms_.oldest();
  const auto waiting = topology_.oldest();
  const auto since = published && waiting ? std::min(*published, *waiting)
                     : published          ? published
                                          : waiting;
  if (since && now() - *since >= confirm_timeout_)
    lose(events, doubt::timeout, 0, "no confirm", goodbye::reset);
}

void model_lane::obey(const frame& f, relay::publisher_events& events) {
  topology::steps steps;
  switch (f.what) {
    case frame::kind::ack:
    case frame::kind::nack:
      return settle(f);
    case frame::kind::returned:
      if (in_flight_.contains(f.ref)) in_flight_.at(f.ref).returned = true;
      require(confirms_.returned(boost::uuids::to_string(f.ref.message_id), f.code, f.text),
              invariant::outcomes_as_the_broker_said, "a return was not understood");
      return;
    case frame::kind::declared:
      topology_.declared(steps);
      return follow(std::move(steps));
    case frame::kind::control_closed:
      control_open_ = false;
      topology_.control_closed(f.code, f.text, steps);
      return follow(std::move(steps));
    case frame::kind::channel_closed:
      return close(events, doubt::channel_closed, f.code, f.text);
    case frame::kind::connection_closed:
      return lose(events, doubt::connection_lost, f.code, f.text, goodbye::reset);
    case frame::kind::blocked:
      blocked_ = true;
      pausable_.pause(clock_.now);
      if (open_) events.lane_blocked(id_, true, "low on memory");
      return;
    case frame::kind::unblocked:
      blocked_ = false;
      pausable_.resume(clock_.now);
      if (open_) events.lane_blocked(id_, false, "");
      if (!open_ && channel_open_) {
        open_ = true;
        events.lane_opened(id_);
      }
      return;
  }
}

void model_lane::settle(const frame& f) {
  const bool ack = f.what == frame::kind::ack;
  if (f.multiple)
    for (auto it = tags_.begin(); it != tags_.end() && it->first < f.number;)
      learn((it++)->first, ack);
  learn(f.number, ack);
  const bool understood = ack ? confirms_.ack(f.number, f.multiple, batch_)
                              : confirms_.nack(f.number, f.multiple, batch_);
  require(understood, invariant::outcomes_as_the_broker_said,
          "a confirm of tag " + std::to_string(f.number) + " was not understood");
}

void model_lane::learn(tag t, bool acked) {
  in_flight_.at(tags_.at(t)).acked = acked;
  tags_.erase(t);
}

// ---- the end of a channel or a connection ----

void model_lane::cut(relay::publisher_events& events, goodbye how) {
  if (connection_) lose(events, doubt::connection_lost, 0, "connection reset by peer", how);
}

void model_lane::server_closes(int code) {
  if (connection_) broker_.close(*connection_, code);
}

void model_lane::vanish(goodbye how) {
  if (connection_) broker_.leave(*connection_, how);
  connection_.reset();
}

void model_lane::lose(relay::publisher_events& events, doubt why, int code, const std::string& text,
                      goodbye how) {
  vanish(how);
  topology_.disconnected();
  control_open_ = false;
  blocked_ = false;
  pausable_.resume(clock_.now);
  close(events, why, code, text);
}

void model_lane::close(relay::publisher_events& events, doubt why, int code,
                       const std::string& text) {
  channel_open_ = false;
  confirms_.abandon(why, code, text, batch_);
  for (const row_ref& ref : topology_.abandon())
    batch_.push_back({ref, verdict::unknown, why, code, text});
  if (std::exchange(open_, false)) events.lane_closed(id_, why, code, text);
  deliver(events);
  require(in_flight_.empty(), invariant::outcomes_as_the_broker_said,
          "no outcome for " +
              (in_flight_.empty() ? std::string() : checker_.describe(in_flight_.begin()->first)));
}

// ---- outcomes ----

void model_lane::deliver(relay::publisher_events& events) {
  if (batch_.empty()) return;
  const std::vector<outcome> batch = std::exchange(batch_, {});
  for (const outcome& o : batch) check(o);
  events.outcomes(id_, batch);
}

void model_lane::check(const outcome& o) {
  const auto it = in_flight_.find(o.ref);
  const auto said = [&] {
    return std::string(to_string(o.what)) + " for " + checker_.describe(o.ref);
  };
  require(it != in_flight_.end(), invariant::outcomes_as_the_broker_said,
          "a second outcome, " + said());
  const fact f = it->second;
  in_flight_.erase(it);
  if (o.what == verdict::confirmed)
    require(f.acked == true && !f.returned, invariant::outcomes_as_the_broker_said,
            "never acknowledged, or returned: " + said());
  if (o.what == verdict::nacked)
    require(f.acked == false, invariant::outcomes_as_the_broker_said, "never nacked: " + said());
  if (o.what == verdict::returned)
    require(f.returned, invariant::outcomes_as_the_broker_said, "never returned: " + said());
  if (o.what == verdict::unknown) checker_.exposed(o.ref);
  checker_.told(o.ref, o.what);
}

}  // namespace outboxd::simulation
