#include "service/status_page.hpp"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>

#include "service/page/embedded.hpp"

namespace outboxd::service {
namespace {

// As Content-Security-Policy names an inline style or script.
std::string hash_source(std::string_view content) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(content.data(), content.size(), digest.data(), &length, EVP_sha256(), nullptr) !=
      1) {
    throw std::runtime_error("OpenSSL has no SHA-256");
  }
  std::array<unsigned char, 64> base64{};
  const int size = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(length));
  return "'sha256-" + std::string(base64.begin(), base64.begin() + size) + "'";
}

// connect-src 'self': the script asks the listener it came from, and nobody else. The icon is an
// empty data: address, so that no browser asks for /favicon.ico.
std::string policy() {
  return "default-src 'none'; connect-src 'self'; img-src data:; style-src " +
         hash_source(page::style) + "; script-src " + hash_source(page::script) +
         "; require-trusted-types-for 'script'; base-uri 'none'; form-action 'none'; "
         "frame-ancestors 'none'";
}

void fill_in(std::string& text, std::string_view place, std::string_view with) {
  const auto at = text.find(place);
  if (at == std::string::npos) throw std::logic_error("the page has no " + std::string(place));
  text.replace(at, place.size(), with);
}

http_reply make(std::string_view role) {
  std::string html(page::html);
  fill_in(html, "{{role}}", role);
  fill_in(html, "{{style}}", page::style);
  fill_in(html, "{{script}}", page::script);
  return {.content_type = "text/html; charset=utf-8",
          .body = std::move(html),
          .headers = {{"Content-Security-Policy", policy()}, {"Referrer-Policy", "no-referrer"}}};
}

}  // namespace

http_reply status_page(page_role role) {
  static const http_reply read_only = make("read-only"), admin = make("admin");
  return role == page_role::admin ? admin : read_only;
}

}  // namespace outboxd::service
