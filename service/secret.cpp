#include "service/secret.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace outboxd::service {
namespace {

// A connection string or password; whoever points at something larger has the wrong file.
constexpr std::size_t max_size = 64u << 10;

}  // namespace

secret secret::literal(std::string value) {
  secret s;
  s.literal_ = std::move(value);
  return s;
}

secret secret::file(std::string variable, std::string path) {
  secret s;
  s.variable_ = std::move(variable);
  s.path_ = std::move(path);
  return s;
}

base::result<std::string> secret::value() const {
  if (path_.empty()) return literal_;
  const auto fail = [&](const std::string& why) {
    return base::failure{base::failure_kind::bad_input,
                         variable_ + ": cannot read " + path_ + ": " + why};
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(path_.c_str(), "re"),
                                                           &std::fclose);
  if (!in) return fail(std::strerror(errno));
  std::string text(max_size + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), in.get()));
  if (std::ferror(in.get()) != 0) return fail(std::strerror(errno));
  if (text.size() > max_size) return fail("it is larger than 64KiB");
  if (text.ends_with('\n')) text.resize(text.size() - (text.ends_with("\r\n") ? 2 : 1));
  if (text.empty()) return fail("it is empty");
  return text;
}

}  // namespace outboxd::service
