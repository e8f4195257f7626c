// Drives an io_context on this thread until a condition holds: the limit only says when to give up.
#pragma once

#include <boost/asio/io_context.hpp>

#include <chrono>

namespace outboxd::tests {

// False when the condition never held within the limit.
template <typename Predicate>
bool run_until(boost::asio::io_context& context, std::chrono::milliseconds limit,
               Predicate&& holds) {
  constexpr std::chrono::milliseconds glance{20};  // for conditions that live outside the context
  const auto give_up = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= give_up) return false;
    context.restart();
    context.run_one_for(glance);
  }
  return true;
}

}  // namespace outboxd::tests
