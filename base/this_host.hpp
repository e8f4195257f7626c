// Whether the name or address of a host can only be this machine itself: then nobody is on the way.
#pragma once

#include <boost/asio/ip/address.hpp>

#include <string>
#include <string_view>

namespace outboxd::base {

inline bool is_this_host(std::string_view host) {
  // RFC 6761, 6.3: names below "localhost." are those of the loopback.
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  boost::system::error_code not_an_address;
  const auto address = boost::asio::ip::make_address(std::string(host), not_an_address);
  return !not_an_address && address.is_loopback();
}

}  // namespace outboxd::base
