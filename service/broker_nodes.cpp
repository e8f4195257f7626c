#include "service/broker_nodes.hpp"

namespace outboxd::service {

base::result<std::vector<relay::amqp::endpoint>> broker_nodes(const settings& s) {
  const auto url = s.amqp_url.value(), user = s.amqp_username.value(),
             password = s.amqp_password.value();
  for (const auto* part : {&url, &user, &password}) {
    if (!*part) return part->error();
  }
  auto nodes = relay::amqp::parse_uris(*url);
  if (!nodes) return base::failure{nodes.error().kind, "OUTBOX_AMQP_URL: " + nodes.error().text};
  for (auto& node : *nodes) {
    if (!user->empty()) node.user = *user;
    if (!password->empty()) node.password = *password;
  }
  return nodes;
}

}  // namespace outboxd::service
