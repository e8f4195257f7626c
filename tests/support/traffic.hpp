// Services that go on writing while servers fail, and what came out at the other end.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/amqp_probe.hpp"

namespace outboxd::tests {

// Each writer has keys of its own, so the order of a key's ids is that of its commits. A
// transaction inserts one to four rows for the queue "q", with and without a key, and sometimes
// undoes some of them, or all. A writer that loses its connection makes a new one. Starts in the
// constructor.
class writers {
 public:
  explicit writers(std::string url, unsigned count = 4);
  ~writers();

  writers(const writers&) = delete;
  writers& operator=(const writers&) = delete;

  void stop();

  // Transactions, so far.
  std::size_t committed() const { return committed_; }
  // Bodies that must not appear anywhere. After stop().
  const std::set<std::string>& rolled_back() const { return rolled_back_; }

 private:
  void run(unsigned number);
  void forget(const std::vector<std::string>& bodies);

  const std::string url_;
  std::atomic<bool> writing_{true};
  std::atomic<std::size_t> committed_{0};
  std::mutex mutex_;
  std::set<std::string> rolled_back_;  // guarded by mutex_
  std::vector<std::thread> threads_;
};

struct deliveries {
  struct row {
    std::int64_t id = 0;
    std::string body;
  };
  std::map<std::string, row> rows;  // by message_id
  std::size_t duplicates = 0;
  std::vector<std::string> out_of_order;  // first delivered behind a higher id of their key
  std::vector<std::string> two_bodies;    // under one message_id

  // Everything that is in the queue now, taken off it.
  void take_all(amqp_probe& broker, const std::string& queue);
  // The same of hundreds of thousands, which a quorum queue gives one by one far more slowly.
  void consume_all(const std::string& amqp_url, const std::string& queue);

 private:
  void note(const amqp_message& m);

  std::map<std::string, std::int64_t> last_of_key_;
};

}  // namespace outboxd::tests
