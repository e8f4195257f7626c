// Expected failures of the environment travel as values; exceptions stay inside an adapter.
#pragma once

#include <boost/system/result.hpp>

#include <stdexcept>
#include <string>

namespace outboxd::base {

enum class failure_kind {
  unavailable,  // the server is away, the connection broke, a deadline passed: try again later
  cancelled,    // the server gave the statement up and changed nothing; the session lives: again
                // later
  not_ready,    // the schema is missing or too old
  forbidden,    // a grant or a login is missing
  rejected,     // the server understood and said no
  bad_input,    // what we were given cannot be used
};

// text: one line for a person, which says what to do where that is known. Never a secret.
struct failure {
  failure_kind kind;
  std::string text;
};

template <typename T>
using result = boost::system::result<T, failure>;

[[noreturn]] inline void throw_exception_from_error(const failure& f,
                                                    const boost::source_location&) {
  throw std::runtime_error(f.text);
}

}  // namespace outboxd::base
