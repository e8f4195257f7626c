#include <algorithm>

#include "relay/amqp/codec.hpp"
#include "relay/amqp/frame.hpp"
#include "relay/amqp/method_decoder.hpp"

namespace outboxd::relay::amqp {
namespace {

constexpr std::size_t pool_page = 4096;
constexpr std::uint8_t tls_alert = 21;

// A channel we opened, and the basic.return on it that is not complete yet.
struct channel_state {
  enum class part { method, header, body };

  channel_id id;
  part expected = part::method;
  basic_return returned;
  std::uint64_t body_left = 0;
};

protocol_error not_amqp(char first) {
  std::string text = "not an AMQP frame (type " + std::to_string(read_u8(&first)) + ")";
  if (first == 'A') text = "the server does not speak AMQP 0-9-1";
  if (first == 'H') text = "the server speaks HTTP, not AMQP";
  if (read_u8(&first) == tls_alert) text = "the server speaks TLS on this port: use amqps://";
  return {AMQP_FRAME_ERROR, std::move(text)};
}

bool is_frame_type(std::uint8_t type) {
  return type == AMQP_FRAME_METHOD || type == AMQP_FRAME_HEADER || type == AMQP_FRAME_BODY ||
         type == AMQP_FRAME_HEARTBEAT;
}

}  // namespace

class decoder::impl {
 public:
  using sink_type = std::function<void(incoming&&)>;

  impl() { init_amqp_pool(&pool_, pool_page); }
  ~impl() { empty_amqp_pool(&pool_); }
  impl(const impl&) = delete;
  impl& operator=(const impl&) = delete;

  void set_frame_max(std::uint32_t frame_max) { frame_max_ = frame_max; }

  void open_channel(channel_id channel) {
    if (channel != 0 && !find(channel)) channels_.push_back({.id = channel, .returned = {}});
  }

  void close_channel(channel_id channel) {
    std::erase_if(channels_, [&](const channel_state& c) { return c.id == channel; });
  }

  // Whole frames are decoded where they lie; only a piece of a frame is copied.
  std::optional<protocol_error> feed(std::string_view data, const sink_type& sink) {
    while (!data.empty()) {
      if (partial_.empty() && data.size() >= frame_header_size) {
        if (auto error = check_header(data.data())) return error;
        const std::size_t size = frame_size(data.data());
        if (data.size() >= size) {
          if (auto error = take_frame(data.substr(0, size), sink)) return error;
          data.remove_prefix(size);
          continue;
        }
      }
      if (auto error = complete(data, sink)) return error;
    }
    return std::nullopt;
  }

 private:
  static std::size_t frame_size(const char* header) {
    return frame_overhead + read_u32(header + 3);
  }

  // Moves bytes from `data` to the frame begun in partial_, as far as its header or its end.
  std::optional<protocol_error> complete(std::string_view& data, const sink_type& sink) {
    const bool in_header = partial_.size() < frame_header_size;
    const std::size_t wanted = in_header ? frame_header_size : frame_size(partial_.data());
    const std::string_view piece = data.substr(0, wanted - partial_.size());
    partial_ += piece;
    data.remove_prefix(piece.size());
    if (partial_.size() < wanted) return std::nullopt;
    if (in_header) return check_header(partial_.data());
    auto error = take_frame(partial_, sink);
    partial_.clear();
    return error;
  }

  std::optional<protocol_error> check_header(const char* header) const {
    if (!is_frame_type(read_u8(header))) return not_amqp(header[0]);
    const channel_id channel = read_u16(header + 1);
    const std::uint32_t payload = read_u32(header + 3);
    if (payload > frame_max_ - frame_overhead)
      return protocol_error{AMQP_FRAME_ERROR, "a frame of " + std::to_string(payload) +
                                                  " bytes, agreed was " +
                                                  std::to_string(frame_max_ - frame_overhead)};
    if (channel != 0 && !find(channel))
      return protocol_error{AMQP_CHANNEL_ERROR, "a frame on channel " + std::to_string(channel) +
                                                    ", which is not open"};
    return std::nullopt;
  }

  std::optional<protocol_error> take_frame(std::string_view frame, const sink_type& sink) {
    if (frame.back() != frame_end)
      return protocol_error{AMQP_FRAME_ERROR, "a frame without its end octet"};
    const channel_id channel = read_u16(frame.data() + 1);
    const std::string_view payload = frame.substr(frame_header_size, frame.size() - frame_overhead);
    switch (read_u8(frame.data())) {
      case AMQP_FRAME_METHOD:
        return take_method(channel, payload, sink);
      case AMQP_FRAME_HEADER:
        return take_content_header(channel, payload, sink);
      case AMQP_FRAME_BODY:
        return take_body(channel, payload, sink);
      default:
        return take_heartbeat(channel, payload, sink);
    }
  }

  std::optional<protocol_error> take_heartbeat(channel_id channel, std::string_view payload,
                                               const sink_type& sink) {
    if (channel != 0 || !payload.empty())
      return protocol_error{AMQP_FRAME_ERROR, "a malformed heartbeat"};
    sink(heartbeat{});
    return std::nullopt;
  }

  std::optional<protocol_error> take_method(channel_id channel, std::string_view payload,
                                            const sink_type& sink) {
    channel_state* state = find(channel);
    if (state && state->expected != channel_state::part::method)
      return unexpected(channel, "a method inside a content");
    auto method = decode_method(channel, payload, pool_);
    recycle_amqp_pool(&pool_);
    if (!method) return method.error();
    if (auto* returned = std::get_if<basic_return>(&*method)) {
      state->returned = std::move(*returned);
      state->expected = channel_state::part::header;
    } else {
      sink(std::move(*method));
    }
    return std::nullopt;
  }

  std::optional<protocol_error> take_content_header(channel_id channel, std::string_view payload,
                                                    const sink_type& sink) {
    channel_state* state = find(channel);
    if (!state || state->expected != channel_state::part::header)
      return unexpected(channel, "a content header");
    auto content = decode_content_header(payload, pool_);
    recycle_amqp_pool(&pool_);
    if (!content) return content.error();
    state->returned.message_id = std::move(content->message_id);
    state->body_left = content->body_size;
    state->expected = channel_state::part::body;
    finish_content(*state, sink);
    return std::nullopt;
  }

  std::optional<protocol_error> take_body(channel_id channel, std::string_view payload,
                                          const sink_type& sink) {
    channel_state* state = find(channel);
    if (!state || state->expected != channel_state::part::body)
      return unexpected(channel, "a content body");
    if (payload.size() > state->body_left)
      return protocol_error{AMQP_FRAME_ERROR, "more content than its header announced"};
    state->body_left -= payload.size();
    finish_content(*state, sink);
    return std::nullopt;
  }

  // The sink may open and close channels: `state` is not touched after it was called.
  void finish_content(channel_state& state, const sink_type& sink) {
    if (state.body_left > 0) return;
    state.expected = channel_state::part::method;
    sink(std::exchange(state.returned, {}));
  }

  static protocol_error unexpected(channel_id channel, const std::string& what) {
    return {AMQP_UNEXPECTED_FRAME,
            what + " on channel " + std::to_string(channel) + ", out of place"};
  }

  channel_state* find(channel_id channel) {
    const auto it = std::find_if(channels_.begin(), channels_.end(),
                                 [&](const channel_state& c) { return c.id == channel; });
    return it == channels_.end() ? nullptr : &*it;
  }
  bool find(channel_id channel) const { return const_cast<impl*>(this)->find(channel) != nullptr; }

  std::uint32_t frame_max_ = AMQP_DEFAULT_FRAME_SIZE;
  std::vector<channel_state> channels_;  // a lane has two
  std::string partial_;                  // a frame whose end has not arrived yet
  amqp_pool_t pool_{};                   // the library's memory for the frame at hand
};

decoder::decoder() : impl_(std::make_unique<impl>()) {}
decoder::~decoder() = default;
decoder::decoder(decoder&&) noexcept = default;
decoder& decoder::operator=(decoder&&) noexcept = default;

void decoder::set_frame_max(std::uint32_t frame_max) {
  impl_->set_frame_max(frame_max);
}
void decoder::open_channel(channel_id channel) {
  impl_->open_channel(channel);
}
void decoder::close_channel(channel_id channel) {
  impl_->close_channel(channel);
}

std::optional<protocol_error> decoder::feed(std::span<const char> data,
                                            const std::function<void(incoming&&)>& sink) {
  return impl_->feed({data.data(), data.size()}, sink);
}

}  // namespace outboxd::relay::amqp
