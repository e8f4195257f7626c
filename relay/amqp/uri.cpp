#include "relay/amqp/uri.hpp"

#include <boost/algorithm/string/predicate.hpp>
#include <boost/algorithm/string/trim.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <boost/url/url_view.hpp>

#include <charconv>

#include "relay/amqp/uri_parameters.hpp"

namespace outboxd::relay::amqp {
namespace {

using problem = std::optional<std::string>;

constexpr std::size_t vhost_max = 255;  // a short string on the wire

constexpr char how_to_write[] =
    "write amqp://user:password@host:port/vhost (or amqps://), with every character of user, "
    "password "
    "and vhost that is not a letter, a digit or one of - . _ ~ percent-encoded (a comma is %2C, @ "
    "is "
    "%40, / is %2F); a bare comma separates the nodes of a cluster";

problem set_scheme(endpoint& node, const boost::urls::url_view& uri) {
  const std::string scheme(uri.scheme());
  node.tls = boost::iequals(scheme, "amqps");
  if (!node.tls && !boost::iequals(scheme, "amqp"))
    return std::string("it must begin with amqp:// or amqps://; ") + how_to_write;
  if (!uri.has_authority()) return std::string("there is no // after the scheme; ") + how_to_write;
  node.port = node.tls ? 5671 : 5672;
  return std::nullopt;
}

problem set_address(endpoint& node, const boost::urls::url_view& uri) {
  if (!uri.encoded_host_address().empty()) node.host = uri.host_address();
  if (node.host.find('\0') != std::string::npos) return "the host holds a zero byte";
  // Percent-encoded, a URI may have anything for a name; no host is called so.
  const bool is_name = uri.host_type() == boost::urls::host_type::name;
  if (is_name && node.host.find_first_of(":/?#[]@ ") != std::string::npos)
    return "the host name holds one of : / ? # [ ] @ or a space, which no host name does";
  if (!uri.has_port() || uri.port().empty()) return std::nullopt;
  const std::string_view digits(uri.port().data(), uri.port().size());
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, node.port);
  if (error != std::errc{} || stop != end || node.port == 0)
    return "the port is not from 1 to 65535";
  return std::nullopt;
}

// A user without a password has an empty one: a default password was meant for the default user
// only.
problem set_credentials(endpoint& node, const boost::urls::url_view& uri) {
  if (!uri.has_userinfo()) return std::nullopt;
  node.user = uri.user();
  node.password = uri.password();
  if (node.user.find('\0') != std::string::npos) return "the user name holds a zero byte";
  if (node.password.find('\0') != std::string::npos) return "the password holds a zero byte";
  return std::nullopt;
}

problem set_vhost(endpoint& node, const boost::urls::url_view& uri) {
  std::string_view path(uri.encoded_path().data(), uri.encoded_path().size());
  // Boost.URL 1.81 takes what follows a port, in "host:5672x", for a path.
  if (!path.empty() && path.front() != '/')
    return std::string("the port is not a number; ") + how_to_write;
  if (!path.empty()) path.remove_prefix(1);
  if (path.find('/') != std::string_view::npos)
    return "the vhost holds a slash that is not percent-encoded: write %2F";
  if (!path.empty()) node.vhost = uri.path().substr(1);
  if (node.vhost.size() > vhost_max) return "the vhost is over 255 bytes long";
  if (node.vhost.find('\0') != std::string::npos) return "the vhost holds a zero byte";
  return std::nullopt;
}

// After this it is safe to quote names and values of query parameters: a password that was not
// encoded and holds a '/', '?' or '#' leaves its '@' behind one of them.
problem refuse_misplaced_password(const boost::urls::url_view& uri) {
  if (uri.has_fragment()) return std::string("there is a '#' in it; ") + how_to_write;
  if (uri.encoded_path().find('@') != std::string_view::npos ||
      uri.encoded_query().find('@') != std::string_view::npos)
    return std::string("there is an '@' behind the host; ") + how_to_write;
  return std::nullopt;
}

problem parse_one(std::string_view text, endpoint& node) {
  if (text.empty()) return "it is empty";
  const auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed) return std::string("it is not a URI; ") + how_to_write;
  const boost::urls::url_view& uri = *parsed;
  if (auto bad = refuse_misplaced_password(uri)) return bad;
  for (const auto set : {set_scheme, set_address, set_credentials, set_vhost})
    if (auto bad = set(node, uri)) return bad;
  if (auto bad = apply_parameters(node, uri.encoded_params())) return bad;
  if (node.tls && node.server_name.empty()) node.server_name = node.host;
  return std::nullopt;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> pieces;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    pieces.push_back(boost::trim_copy(std::string(text.substr(begin, end - begin))));
    begin = end + 1;
  }
  return pieces;
}

std::string encoded(const std::string& text) {
  return boost::urls::encode(text, boost::urls::unreserved_chars);
}

}  // namespace

std::string endpoint::redacted() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return std::string(tls ? "amqps://" : "amqp://") + encoded(user) + ":***@" +
         (is_ipv6 ? "[" + host + "]" : encoded(host)) + ":" + std::to_string(port) + "/" +
         encoded(vhost);
}

base::result<std::vector<endpoint>> parse_uris(std::string_view text) {
  const std::vector<std::string> pieces = split(text);
  std::vector<endpoint> nodes;
  for (const std::string& piece : pieces) {
    endpoint node;
    if (auto bad = parse_one(piece, node)) {
      std::string which = "the AMQP URI";
      if (pieces.size() > 1)
        which =
            "AMQP URI " + std::to_string(nodes.size() + 1) + " of " + std::to_string(pieces.size());
      return base::failure{base::failure_kind::bad_input, which + ": " + *bad};
    }
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace outboxd::relay::amqp
