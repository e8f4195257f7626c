// The store over PostgreSQL: one lane reads, one lane writes. Made and called on the executor's
// thread, but for calls(), which any thread may ask while this lives. The destructor closes both
// connections (bounded time, see lane.hpp).
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "outbox/db_call.hpp"
#include "outbox/store.hpp"

namespace outboxd::outbox {

struct pg_options {
  std::function<std::string()> url;  // a libpq URI or key/value string; asked before each connect,
                                     // on other threads: secrets rotate
  std::string schema = "outbox";     // validated (schema.hpp)
  std::string application_name = "outboxd";
  std::function<double()> jitter;  // [0,1), on other threads; empty: a random generator
  bool delete_on_ack = false;
  // Above what any statement of ours takes on a busy server, below what an operator would wait for.
  std::chrono::milliseconds statement_timeout{30'000};
  // A statement that is not answered within this costs the session; above its statement_timeout.
  std::chrono::milliseconds answer_within{35'000};
  bool keep_dead_keys = false;  // dead rows with an ordering key are never purged: they hold it

  // Optional, on the executor.
  std::function<void(std::string_view operation, std::chrono::microseconds)> on_query;
  std::function<void()> on_reconnect;
};

class pg_store final : public store {
 public:
  pg_store(const boost::asio::any_io_executor& executor, const pg_options& options);
  ~pg_store() override;

  void read(read_request request, handler<read_answer> done) override;
  void load_bodies(std::vector<row_ref> rows, handler<std::vector<loaded_body>> done) override;
  void load_failed(std::int64_t after, bool dead_too, std::size_t limit,
                   handler<std::vector<failed_row>> done) override;
  void load_pauses(handler<std::vector<pause_in_force>> done) override;
  void settle(std::vector<row_ref> rows, handler<settle_answer> done) override;
  void decide(std::int64_t epoch, std::vector<decision> decisions,
              handler<decide_answer> done) override;
  void measure(std::vector<id_range> where, handler<backlog> done) override;
  void purge(std::chrono::milliseconds sent_before, std::chrono::milliseconds dead_before,
             std::size_t limit, handler<std::size_t> done) override;
  void rest(bool on) override;

  // What its lanes do now.
  std::vector<db_call> calls() const;

  // Idempotent: what is under way or waiting is answered `unavailable`. closed: on the executor,
  // when both connections are closed.
  void stop(std::function<void()> closed = [] {});

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace outboxd::outbox
