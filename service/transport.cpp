#include "service/transport.hpp"

#include <optional>
#include <stdexcept>

#include "base/this_host.hpp"
#include "outbox/conninfo.hpp"
#include "service/broker_nodes.hpp"

namespace outboxd::service {
namespace {

constexpr char risk[] = ": somebody on the way could read or change messages and take the password";

std::optional<std::string> of_database(std::string_view setting, const secret& url) {
  const auto text = url.value();
  if (!text) return std::nullopt;  // said elsewhere
  try {
    const auto mode = outbox::unverified_sslmode(*text);
    if (mode.empty()) return std::nullopt;
    return std::string(setting) + " has sslmode=" + mode + " for a server on another host" + risk +
           "; sslmode=verify-full is the default";
  } catch (const std::invalid_argument&) {
    return std::nullopt;  // the first connect says it
  }
}

std::optional<std::string> of_broker(const relay::amqp::endpoint& node) {
  if (base::is_this_host(node.host) || (node.tls && node.verify_peer)) return std::nullopt;
  const std::string what = node.tls ? " has verify=verify_none for " : " has no TLS for ";
  return "OUTBOX_AMQP_URL" + what + node.host + risk + "; " +
         (node.tls ? "cacertfile= names a private authority" : "amqps:// is verified");
}

}  // namespace

std::vector<std::string> transport_cautions(const settings& s) {
  std::vector<std::string> all;
  const auto add = [&](const std::optional<std::string>& caution) {
    if (caution) all.push_back(*caution);
  };
  add(of_database("OUTBOX_DATABASE_URL", s.database_url));
  if (const auto nodes = broker_nodes(s)) {
    for (const auto& node : *nodes) add(of_broker(node));
  }
  return all;
}

}  // namespace outboxd::service
