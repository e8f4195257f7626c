// A setting that must not be shown: given as it is, or as a file that is read anew at every use, so
// that a rotated secret is picked up at the next reconnect. Immutable; value() may be called on any
// thread.
#pragma once

#include <string>

#include "base/result.hpp"

namespace outboxd::service {

class secret {
 public:
  secret() = default;
  static secret literal(std::string value);
  // `variable` is named in errors.
  static secret file(std::string variable, std::string path);

  // The value without one trailing newline (the one that editors and echo add). A failure names the
  // variable and the file, never the content. Empty when the secret is not set.
  base::result<std::string> value() const;

  bool is_set() const { return !path_.empty() || !literal_.empty(); }

 private:
  std::string literal_, variable_, path_;
};

}  // namespace outboxd::service
