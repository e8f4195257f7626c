// One frame out of the fuzzer's bytes. With whole frames the fuzzer need not guess lengths and end
// octets, and gets to what stands behind them; damaged framing has inputs of its own.
#pragma once

#include <string>

#include "tests/fuzz/fuzz.hpp"
#include "tests/unit/wire.hpp"

namespace outboxd::fuzz {

// Type, channel and length of the payload in one, one and two bytes, then the payload.
inline std::string next_frame(input& in) {
  const char type = static_cast<char>(in.u8());
  const int channel = in.u8();
  return tests::wire::a_frame(type, channel, in.bytes(in.u16()));
}

}  // namespace outboxd::fuzz
