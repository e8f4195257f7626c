#include "relay/amqp/uri_parameters.hpp"

#include <boost/algorithm/string/predicate.hpp>

#include <charconv>
#include <limits>
#include <set>

namespace outboxd::relay::amqp {
namespace {

using problem = std::optional<std::string>;

template <typename T>
problem number(T& field, const std::string& value, T min, T max, std::string_view unit) {
  T parsed{};
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, parsed);
  if (error == std::errc{} && stop == end && parsed >= min && parsed <= max) {
    field = parsed;
    return std::nullopt;
  }
  std::string text = "\"" + value + "\" is not a number";
  text += unit;
  return text + " from " + std::to_string(min) + " to " + std::to_string(max);
}

problem file(std::string& field, const std::string& value) {
  if (value.empty()) return "the file name is empty";
  field = value;
  return std::nullopt;
}

problem set_ca_file(endpoint& node, const std::string& value) {
  return file(node.ca_file, value);
}
problem set_certificate(endpoint& node, const std::string& value) {
  return file(node.certificate_file, value);
}
problem set_key(endpoint& node, const std::string& value) {
  return file(node.key_file, value);
}

problem set_verify(endpoint& node, const std::string& value) {
  if (value != "verify_peer" && value != "verify_none") return "write verify_peer or verify_none";
  node.verify_peer = value == "verify_peer";
  return std::nullopt;
}

problem set_server_name(endpoint& node, const std::string& value) {
  if (value.empty()) return "the name is empty";
  node.server_name = value;
  return std::nullopt;
}

problem set_mechanism(endpoint& node, const std::string& value) {
  if (boost::iequals(value, "plain")) {
    node.mechanism = auth::plain;
  } else if (boost::iequals(value, "amqplain")) {
    node.mechanism = auth::amqplain;
  } else if (boost::iequals(value, "external")) {
    node.mechanism = auth::external;
  } else {
    return "write plain, amqplain or external";
  }
  return std::nullopt;
}

problem set_heartbeat(endpoint& node, const std::string& value) {
  std::int64_t seconds = 0;
  auto bad = number<std::int64_t>(seconds, value, 0, 65'535, " of seconds");
  if (!bad) node.heartbeat = std::chrono::seconds(seconds);
  return bad;
}

// Zero would mean to wait for ever.
problem set_timeout(endpoint& node, const std::string& value) {
  std::int64_t ms = 0;
  auto bad = number<std::int64_t>(ms, value, 1, 3'600'000, " of milliseconds");
  if (!bad) node.connection_timeout = std::chrono::milliseconds(ms);
  return bad;
}

// A lane needs two channels. Zero leaves it to the server.
problem set_channel_max(endpoint& node, const std::string& value) {
  if (value == "1") return "at least 2 channels are needed";
  return number<std::uint16_t>(node.channel_max, value, 0, 65'535, "");
}

// Zero leaves it to the server. 4096 is the protocol's minimum; RabbitMQ 4.1 wants 8192.
problem set_frame_max(endpoint& node, const std::string& value) {
  if (value == "0") {
    node.frame_max = 0;
    return std::nullopt;
  }
  return number<std::uint32_t>(node.frame_max, value, 4096,
                               std::numeric_limits<std::int32_t>::max(), " of bytes: 0 or");
}

// A second secret in the URI, for a file that can be protected by its owner and mode instead.
problem refuse_key_password(endpoint&, const std::string&) {
  return "a key file with a password is not supported: use one without, readable by this user only";
}

enum class scope { any, tls };

struct parameter {
  std::string_view name;
  scope where;
  problem (*set)(endpoint& node, const std::string& value);
};

constexpr parameter parameters[] = {
    {"cacertfile", scope::tls, set_ca_file},
    {"certfile", scope::tls, set_certificate},
    {"keyfile", scope::tls, set_key},
    {"password", scope::tls, refuse_key_password},
    {"verify", scope::tls, set_verify},
    {"server_name_indication", scope::tls, set_server_name},
    {"auth_mechanism", scope::any, set_mechanism},
    {"heartbeat", scope::any, set_heartbeat},
    {"connection_timeout", scope::any, set_timeout},
    {"channel_max", scope::any, set_channel_max},
    {"frame_max", scope::any, set_frame_max},
};

const parameter* find(std::string_view name) {
  for (const parameter& p : parameters)
    if (p.name == name) return &p;
  return nullptr;
}

std::string known_names() {
  std::string names;
  for (const parameter& p : parameters) {
    if (p.set == refuse_key_password) continue;
    if (!names.empty()) names += ", ";
    names += p.name;
  }
  return names;
}

problem apply(endpoint& node, const std::string& name, const std::string& value) {
  const parameter* known = find(name);
  if (!known) return "unknown query parameter \"" + name + "\"; known are " + known_names();
  if (known->where == scope::tls && !node.tls) return name + " needs amqps://";
  if (auto bad = known->set(node, value)) return name + ": " + *bad;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> apply_parameters(endpoint& node,
                                            boost::urls::params_encoded_view query) {
  std::set<std::string> seen;
  for (const auto& p : query) {
    const std::string name = p.key.decode();
    if (!seen.insert(name).second) return name + " is given twice";
    if (auto bad = apply(node, name, p.value.decode())) return bad;
  }
  if (!node.key_file.empty() && node.certificate_file.empty()) return "keyfile needs certfile";
  if (node.key_file.empty()) node.key_file = node.certificate_file;  // one PEM file may hold both
  return std::nullopt;
}

}  // namespace outboxd::relay::amqp
