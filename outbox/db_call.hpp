// What a database lane is doing at this moment, for people and for /livez.
#pragma once

#include <chrono>
#include <string>

namespace outboxd::outbox {

struct db_call {
  std::string lane;       // "pg-read"
  std::string operation;  // "connect", "settle", …
  std::chrono::milliseconds lasts{0};
  // It outlived its deadline, was cut off, and its thread has not come back all the same: only a
  // new process helps.
  bool stuck = false;
};

}  // namespace outboxd::outbox
