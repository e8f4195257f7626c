// The payload of one method or content header frame, as a value. Internal to the decoder, which has
// checked the frame around it.
#pragma once

#include <boost/system/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "relay/amqp/codec.hpp"
#include "relay/amqp/rabbitmq_c.hpp"

namespace outboxd::relay::amqp {

template <typename T>
using decoded = boost::system::result<T, protocol_error>;

// A basic.return comes without its message_id, which is in the content header that follows.
decoded<incoming> decode_method(channel_id channel, std::string_view payload, amqp_pool_t& pool);

struct content_start {
  std::uint64_t body_size;
  std::string message_id;
};
decoded<content_start> decode_content_header(std::string_view payload, amqp_pool_t& pool);

}  // namespace outboxd::relay::amqp
