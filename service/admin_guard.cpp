#include "service/admin_guard.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "service/problem.hpp"

namespace outboxd::service {
namespace {

using digest = std::array<unsigned char, 32>;

digest sha256(std::string_view text) {
  digest out{};
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), out.data(), &length, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("OpenSSL has no SHA-256");
  return out;
}

bool same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// "Bearer abc": "abc". Nothing for another scheme.
std::optional<std::string_view> bearer(std::string_view authorization) {
  const auto space = authorization.find(' ');
  if (space == std::string_view::npos || !same_word(authorization.substr(0, space), "Bearer"))
    return std::nullopt;
  const auto first = authorization.find_first_not_of(' ', space);
  if (first == std::string_view::npos) return std::nullopt;
  return authorization.substr(first);
}

// "localhost:9655", "[::1]:9655": without the port and brackets.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    return end == std::string_view::npos ? "" : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find(':'));
}

bool names_this_host(std::string_view authority) {
  const std::string host(host_of(authority));
  if (same_word(host, "localhost")) return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

std::optional<http_reply> refuse_other_sites(const http_request& request) {
  if (!names_this_host(request.host)) {
    return problem(421,
                   "without a token only localhost and loopback addresses are answered, and "
                   "the Host header names another");
  }
  const auto& origin = request.origin;
  if (!origin.empty() && origin != "http://" + std::string(request.host))
    return problem(403, "a page of another origin may not ask this");
  const auto& site = request.fetch_site;
  if (!site.empty() && site != "same-origin" && site != "none")
    return problem(403, "a page of another site may not ask this");
  return std::nullopt;
}

}  // namespace

// Digests are of one length, whatever was sent.
bool same_secret(std::string_view a, std::string_view b) {
  const digest first = sha256(a), second = sha256(b);
  return CRYPTO_memcmp(first.data(), second.data(), first.size()) == 0;
}

std::optional<http_reply> refuse_stranger(const http_request& request,
                                          const std::optional<std::string>& token) {
  if (!token) return refuse_other_sites(request);
  const auto given = bearer(request.authorization);
  if (given && same_secret(*given, *token)) return std::nullopt;
  auto refusal =
      problem(401, given ? "the token is wrong" : "a token is wanted: Authorization: Bearer …");
  refusal.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"outboxd\"");
  return refusal;
}

}  // namespace outboxd::service
