// AMQP 0-9-1 on the byte level, written for the tests from the specification and without
// rabbitmq-c: what our encoder wrote is read with it, what a broker would send is written with it.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace outboxd::tests::wire {

inline constexpr char method_frame = 1, header_frame = 2, body_frame = 3, heartbeat_frame = 8;
inline constexpr char end_octet = '\xCE';

// ---- reading ----

struct value;
using table = std::map<std::string, value>;
using array = std::vector<value>;

struct value {
  char tag = '?';
  std::variant<std::monostate, bool, std::int64_t, double, std::string, std::shared_ptr<table>,
               std::shared_ptr<array>>
      data;

  const std::string& text() const { return std::get<std::string>(data); }
  std::int64_t integer() const { return std::get<std::int64_t>(data); }
  double real() const { return std::get<double>(data); }
  bool boolean() const { return std::get<bool>(data); }
  const table& fields() const { return *std::get<std::shared_ptr<table>>(data); }
  const array& items() const { return *std::get<std::shared_ptr<array>>(data); }
};

struct named_twice : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class reader {
 public:
  explicit reader(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  std::string_view take(std::size_t n) {
    if (rest_.size() < n) throw std::runtime_error("cut short");
    const auto piece = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return piece;
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t n = 0;
    for (const char c : take(bytes)) n = n << 8 | static_cast<unsigned char>(c);
    return n;
  }
  std::string short_string() { return std::string(take(number(1))); }
  std::string long_string() { return std::string(take(number(4))); }

  table fields() {
    reader inside(long_string_view());
    table all;
    while (!inside.empty()) {
      const std::string name = inside.short_string();
      if (!all.emplace(name, inside.field_value()).second) throw named_twice("twice: " + name);
    }
    return all;
  }

 private:
  std::string_view long_string_view() { return take(number(4)); }

  value field_value() {
    const char tag = take(1)[0];
    switch (tag) {
      case 'S':
        return {tag, long_string()};
      case 'l':
        return {tag, static_cast<std::int64_t>(number(8))};
      case 'd': {
        const std::uint64_t bits = number(8);
        double d;
        std::memcpy(&d, &bits, sizeof d);
        return {tag, d};
      }
      case 't':
        return {tag, number(1) != 0};
      case 'V':
        return {tag, {}};
      case 'F':
        return {tag, std::make_shared<table>(fields())};
      case 'A': {
        reader inside(long_string_view());
        auto items = std::make_shared<array>();
        while (!inside.empty()) items->push_back(inside.field_value());
        return {tag, items};
      }
      default:
        throw std::runtime_error(std::string("a field of type ") + tag);
    }
  }

  std::string_view rest_;
};

struct frame {
  int type;
  int channel;
  std::string payload;
};

inline std::vector<frame> frames(std::string_view bytes) {
  std::vector<frame> all;
  for (reader r(bytes); !r.empty();) {
    const int type = static_cast<int>(r.number(1));
    const int channel = static_cast<int>(r.number(2));
    frame f{type, channel, r.long_string()};
    if (r.take(1)[0] != end_octet) throw std::runtime_error("no end octet");
    all.push_back(std::move(f));
  }
  return all;
}

// ---- writing ----

inline std::string number(std::uint64_t n, int bytes) {
  std::string text;
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    text += static_cast<char>(n >> shift & 0xFF);
  return text;
}
inline std::string short_string(std::string_view s) {
  return number(s.size(), 1) + std::string(s);
}
inline std::string long_string(std::string_view s) {
  return number(s.size(), 4) + std::string(s);
}

inline std::string a_frame(char type, int channel, std::string_view payload) {
  return type + number(static_cast<std::uint64_t>(channel), 2) + long_string(payload) + end_octet;
}
inline std::string a_method(int channel, int class_id, int method_id,
                            std::string_view arguments = {}) {
  return a_frame(method_frame, channel,
                 number(static_cast<std::uint64_t>(class_id), 2) +
                     number(static_cast<std::uint64_t>(method_id), 2) + std::string(arguments));
}
inline std::string a_content_header(int channel, std::uint64_t body_size, int flags,
                                    std::string_view properties) {
  return a_frame(header_frame, channel,
                 number(60, 2) + number(0, 2) + number(body_size, 8) +
                     number(static_cast<std::uint64_t>(flags), 2) + std::string(properties));
}

}  // namespace outboxd::tests::wire
