#include <openssl/sha.h>

#include <array>

#include "migrations/embedded.hpp"

namespace outboxd::migrations {

std::string checksum(const migration& m) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(m.up.data()), m.up.size(), digest.data());
  constexpr char hex[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += hex[byte >> 4];
    text += hex[byte & 15];
  }
  return text;
}

}  // namespace outboxd::migrations
