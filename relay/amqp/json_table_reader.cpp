#include "relay/amqp/json_table_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/text.hpp"
#include "relay/amqp/frame.hpp"

namespace outboxd::relay::amqp {
namespace {

constexpr std::string_view reserved_prefix = "x-outbox-";

amqp_field_value_t value_of(amqp_field_value_kind_t kind) {
  amqp_field_value_t value{};
  value.kind = static_cast<std::uint8_t>(kind);
  return value;
}

// Extra routing keys for RabbitMQ, which closes the channel over anything but an array of strings.
bool adds_routing_keys(std::string_view name) {
  return name == "CC" || name == "BCC";
}

bool is_array_of_strings(const amqp_field_value_t& value) {
  if (value.kind != AMQP_FIELD_KIND_ARRAY) return false;
  const auto* first = value.value.array.entries;
  return std::all_of(first, first + value.value.array.num_entries,
                     [](const auto& v) { return v.kind == AMQP_FIELD_KIND_UTF8; });
}

template <typename T>
T* allocate(std::pmr::memory_resource& arena, std::size_t n) {
  return static_cast<T*>(arena.allocate(n * sizeof(T), alignof(T)));
}

}  // namespace

std::string json_table_reader::where() const {
  std::string path;
  const auto append = [&](std::string_view part) {
    if (part.empty()) return;
    if (!path.empty()) path += '.';
    path += base::cut(part, 100);
  };
  for (const level& l : open_) append(l.name);
  append(name_);
  return base::one_line(base::cut(path, 200));
}

bool json_table_reader::refuse(std::string_view why, error_code& ec) {
  problem_ = "header \"" + where() + "\": ";
  problem_ += why;
  ec = make_error_code(boost::system::errc::invalid_argument);
  return false;
}

bool json_table_reader::hold(text s) {
  partial_.append(s.data(), s.size());
  return true;
}

std::string_view json_table_reader::whole(text s) {
  const std::size_t size = partial_.size() + s.size();
  char* copy = allocate<char>(arena_, size);
  std::copy(partial_.begin(), partial_.end(), copy);
  std::copy(s.begin(), s.end(), copy + partial_.size());
  partial_.clear();
  return {copy, size};
}

bool json_table_reader::add(const amqp_field_value_t& value, std::size_t size, error_code& ec) {
  if (open_.empty()) {
    problem_ = "headers are not a JSON object";
    ec = make_error_code(boost::system::errc::invalid_argument);
    return false;
  }
  if (open_.size() == 1 && adds_routing_keys(name_) && !is_array_of_strings(value))
    return refuse("RabbitMQ takes only an array of strings here", ec);
  encoded_size_ += 1 + size + (open_.back().array ? 0 : 1 + name_.size());
  entries_.push_back({as_bytes(name_), value});
  name_ = {};
  return true;
}

bool json_table_reader::name(std::string_view s, error_code& ec) {
  name_ = s;
  if (s.size() > short_string_max) return refuse("the name is over 255 bytes", ec);
  if (open_.size() == 1 && s.substr(0, reserved_prefix.size()) == reserved_prefix)
    return refuse("names that begin with x-outbox- are the relay's own", ec);
  return true;
}

bool json_table_reader::open(bool array, error_code& ec) {
  if (open_.empty() && array) return add({}, 0, ec);  // not an object
  open_.push_back({array, name_, entries_.size()});
  name_ = {};
  return true;
}

bool json_table_reader::close_object(error_code& ec) {
  const level closed = open_.back();
  if (open_.size() == 1) return true;  // the headers object itself: its entries stay where they are
  const std::size_t n = entries_.size() - closed.first;
  auto* children = allocate<amqp_table_entry_t>(arena_, n);
  std::copy_n(entries_.data() + closed.first, n, children);
  amqp_field_value_t value = value_of(AMQP_FIELD_KIND_TABLE);
  value.value.table = {static_cast<int>(n), children};
  entries_.resize(closed.first);
  open_.pop_back();
  name_ = closed.name;
  return add(value, 4, ec);
}

bool json_table_reader::close_array(error_code& ec) {
  const level closed = open_.back();
  const std::size_t n = entries_.size() - closed.first;
  auto* children = allocate<amqp_field_value_t>(arena_, n);
  std::transform(entries_.data() + closed.first, entries_.data() + entries_.size(), children,
                 [](const amqp_table_entry_t& e) { return e.value; });
  amqp_field_value_t value = value_of(AMQP_FIELD_KIND_ARRAY);
  value.value.array = {static_cast<int>(n), children};
  entries_.resize(closed.first);
  open_.pop_back();
  name_ = closed.name;
  return add(value, 4, ec);
}

bool json_table_reader::string(std::string_view s, error_code& ec) {
  amqp_field_value_t value = value_of(AMQP_FIELD_KIND_UTF8);
  value.value.bytes = as_bytes(s);
  return add(value, 4 + s.size(), ec);
}

bool json_table_reader::number(std::string_view digits, error_code& ec) {
  const char* const end = digits.data() + digits.size();
  if (digits.find_first_of(".eE") == std::string_view::npos) {
    amqp_field_value_t value = value_of(AMQP_FIELD_KIND_I64);
    const auto [stop, error] = std::from_chars(digits.data(), end, value.value.i64);
    if (error != std::errc{} || stop != end)
      return refuse("the integer does not fit 64 bits with a sign", ec);
    return add(value, 8, ec);
  }
  amqp_field_value_t value = value_of(AMQP_FIELD_KIND_F64);
  const auto [stop, error] = std::from_chars(digits.data(), end, value.value.f64);
  if (error != std::errc{} || stop != end)
    return refuse("the number is outside the range of a double", ec);
  return add(value, 8, ec);
}

bool json_table_reader::on_bool(bool b, error_code& ec) {
  amqp_field_value_t value = value_of(AMQP_FIELD_KIND_BOOLEAN);
  value.value.boolean = b;
  return add(value, 1, ec);
}

bool json_table_reader::on_null(error_code& ec) {
  return add(value_of(AMQP_FIELD_KIND_VOID), 0, ec);
}

}  // namespace outboxd::relay::amqp
