// OUTBOX_AMQP_URL: what is accepted can be written again and means the same; a password is never
// quoted.
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>

#include "relay/amqp/uri.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace outboxd;
using relay::amqp::endpoint;

constexpr std::string_view secret = "hunter2";

void means_the_same_again(const endpoint& node) {
  std::string text = node.redacted();
  const auto stars = text.find(":***@");
  fuzz::ensure(stars != std::string::npos, "a redacted URI has stars for its password", text);
  text.replace(stars + 1, 3, boost::urls::encode(node.password, boost::urls::unreserved_chars));
  const auto again = relay::amqp::parse_uris(text);
  fuzz::ensure(again.has_value() && again->size() == 1, "a redacted URI can be read", text);
  const endpoint& e = again->front();
  fuzz::ensure(e.tls == node.tls && e.host == node.host && e.port == node.port &&
                   e.user == node.user && e.password == node.password && e.vhost == node.vhost,
               "a redacted URI names the same node", text);
}

void is_in_range(const endpoint& node) {
  fuzz::ensure(!node.host.empty() && node.port > 0, "a node has an address");
  for (const std::string* text : {&node.host, &node.user, &node.password, &node.vhost})
    fuzz::ensure(text->find('\0') == std::string::npos, "no zero bytes");
  fuzz::ensure(node.vhost.size() <= 255, "a vhost fits a short string");
  fuzz::ensure(node.heartbeat.count() >= 0 && node.heartbeat.count() <= 65'535, "a heartbeat");
  fuzz::ensure(node.connection_timeout.count() > 0, "a deadline");
  fuzz::ensure(node.frame_max == 0 || node.frame_max >= 4096, "a frame_max AMQP allows");
  fuzz::ensure(node.channel_max != 1, "room for two channels");
  fuzz::ensure(node.key_file.empty() || !node.certificate_file.empty(), "a key has a certificate");
}

void keeps_the_secret(const std::string& before, const std::string& after) {
  if ((before + after).find(secret) != std::string::npos) return;  // it is no secret then
  const auto nodes = relay::amqp::parse_uris(before + std::string(secret) + after);
  if (!nodes) {
    fuzz::ensure(nodes.error().text.find(secret) == std::string::npos,
                 "an error does not quote a password", nodes.error().text);
    return;
  }
  for (const endpoint& node : *nodes) {
    if (node.password.find(secret) == std::string::npos) continue;
    fuzz::ensure(node.redacted().find(secret) == std::string::npos, "a password is redacted");
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::input(data, size).rest();
  if (const auto nodes = relay::amqp::parse_uris(text)) {
    fuzz::ensure(!nodes->empty(), "at least one node");
    for (const endpoint& node : *nodes) {
      is_in_range(node);
      means_the_same_again(node);
    }
  } else {
    fuzz::ensure(!nodes.error().text.empty(), "an error says something");
  }
  // A person's password, encoded or not, and what stands behind it.
  keeps_the_secret("amqp://user:", text);
  keeps_the_secret("amqps://user:", text + "@localhost/vhost");
  return 0;
}
