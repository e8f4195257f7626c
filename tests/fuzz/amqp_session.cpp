// A broker that says anything at any time, while rows are published: no row is taken for confirmed
// that was not, each gets one outcome, and nothing grows without bound (lane_model.cpp holds it
// against that).
#include "tests/fuzz/broker_frame.hpp"
#include "tests/fuzz/lane_model.hpp"
#include "tests/unit/broker_frames.hpp"

namespace {

using namespace outboxd;
using namespace outboxd::relay::amqp;

// Up to and including the phase: after start, tune, open-ok, the channels, select-ok.
void talk_up_to(fuzz::lane_model& lane, int phase) {
  const std::string steps[] = {
      a_start(),
      wire::a_method(0, 10, 30,
                     wire::number(2047, 2) + wire::number(131'072, 4) + wire::number(60, 2)),
      wire::a_method(0, 10, 41, wire::short_string("")),
      wire::a_method(1, 20, 11, wire::long_string("")) +
          wire::a_method(2, 20, 11, wire::long_string("")),
      wire::a_method(1, 85, 11)};
  for (int i = 0; i < std::min(phase, 5); ++i) lane.feed(steps[i]);
}

// The text of the message id that lane_model gives its rows.
std::string return_of(std::uint8_t row) {
  char id[37];
  std::snprintf(id, sizeof id, "00000000-0000-0000-0000-0000000000%02x", unsigned{row});
  return a_return_method(1) + wire::a_content_header(1, 0, 1 << 7, wire::short_string(id));
}

void step(fuzz::lane_model& lane, fuzz::input& in) {
  switch (in.u8() % 18) {
    case 0:
      return lane.publish("", std::nullopt);
    case 1:
      return lane.publish(in.line(), in.line());
    case 2:
      return lane.feed(an_ack(1, in.u8(), false));
    case 3:
      return lane.feed(an_ack(1, in.u8(), true));
    case 4:
      return lane.feed(a_nack(1, in.u8(), in.u8()));
    case 5:
      return lane.feed(return_of(in.u8()));
    case 6:
      return lane.feed(wire::a_method(2, 40, 11));
    case 7:
      return lane.feed(a_close(1, 20, "NOT_FOUND"));
    case 8:
      return lane.feed(a_close(2, 20, "NOT_FOUND"));
    case 9:
      return lane.feed(wire::a_method(in.u8(), 20, 11, wire::long_string("")));
    case 10:
      return lane.feed(wire::a_method(in.u8(), 85, 11));
    case 11:
      return lane.feed(wire::a_method(0, 10, in.u8() % 2 ? 61 : 60, wire::short_string("r")));
    case 12:
      return lane.wrote();
    case 13:
      return lane.tick();
    case 14:
      return lane.reopen();
    case 15:
      switch (in.u8() % 8) {
        case 0:
          return lane.close();
        case 1:
          return lane.renew();
        case 2:
          return lane.feed(wire::a_method(1, 20, 41));
        default:
          return lane.timed_out();
      }
    case 16:
      return lane.feed(in.bytes(in.u8()));
    default: {
      const int times = 1 + in.u8();
      const std::string frame = fuzz::next_frame(in);
      for (int i = 0; i < times; ++i) lane.feed(frame);
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(data, size);
  fuzz::lane_model lane;
  talk_up_to(lane, in.u8() % 6);
  for (int steps = 0; steps < 2'000 && !in.empty() && !lane.over(); ++steps) step(lane, in);
  lane.finish();
  return 0;
}
