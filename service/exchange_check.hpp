// Asks one node of the broker about exchanges, one after the other: whether each is there, and
// whether our user may publish to it. Publishes and changes nothing. For `outboxd check`.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "relay/amqp/uri.hpp"

namespace outboxd::service {

struct exchange_answer {
  std::string name;
  int code = 0;  // 0: it is there and may be published to; else what the broker said: 404, 403…
  std::string text;  // of the broker
};

struct exchange_answers {
  std::vector<exchange_answer> given;  // in the order of the questions
  std::string silence;                 // why there are fewer of them than questions
};

// Blocks as check_broker() does. The names are those of exchanges: of 1 to 255 bytes.
base::result<exchange_answers> ask_about_exchanges(
    const relay::amqp::endpoint& node, const std::vector<std::string>& names,
    std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace outboxd::service
