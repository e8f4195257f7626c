// rabbitmq-c. Only its codec is used: methods, properties, tables, pools; never its connections or
// sockets.
#pragma once

#include "base/compat.hpp"

#include <string_view>

namespace outboxd::relay::amqp {

// The library's view of our bytes. Its structs are not const-correct; its encoders only read.
inline amqp_bytes_t as_bytes(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};
}

inline std::string_view as_view(amqp_bytes_t bytes) {
  return {static_cast<const char*>(bytes.bytes), bytes.len};
}

}  // namespace outboxd::relay::amqp
