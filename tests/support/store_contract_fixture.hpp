// The fixture of the contract suite: calls through the seam and waits for the answer.
#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/store_harness.hpp"

namespace outboxd::tests {

inline outbox::message text_row(std::string body, std::optional<std::string> key = {}) {
  outbox::message m;
  m.routing_key = "q";
  m.ordering_key = std::move(key);
  m.body = std::move(body);
  return m;
}

inline std::vector<std::int64_t> ids(const std::vector<outbox::message>& rows) {
  std::vector<std::int64_t> out;
  out.reserve(rows.size());
  for (const auto& m : rows) out.push_back(m.ref.id);
  return out;
}

inline std::vector<std::string> bodies(const std::vector<outbox::message>& rows) {
  std::vector<std::string> out;
  out.reserve(rows.size());
  for (const auto& m : rows) out.push_back(m.body);
  return out;
}

class store_contract : public testing::TestWithParam<harness_factory> {
 protected:
  store_contract() : world_(GetParam()()) {}

  static constexpr auto last_id = std::numeric_limits<std::int64_t>::max();

  store_harness& world() { return *world_; }

  template <typename T, typename Call>
  base::result<T> answer_of(Call call) {
    std::optional<base::result<T>> answer;
    call([&answer](base::result<T> got) { answer.emplace(std::move(got)); });
    EXPECT_FALSE(answer.has_value()) << "answered from inside the call";
    world_->context().restart();
    while (!answer && world_->context().run_one() > 0) {
    }
    return std::move(answer.value());
  }

  // Without these a test would have to repeat the numbers that do not matter to it.
  static outbox::read_request everything() {
    outbox::read_request r;
    r.limit = 1000;
    r.due_limit = 1000;
    r.inline_row_bytes = 1 << 20;
    r.inline_total_bytes = 64 << 20;
    return r;
  }
  static outbox::decision deferred(outbox::row_ref ref,
                                   std::chrono::milliseconds in = std::chrono::hours(1),
                                   int attempts = 0) {
    return {ref, attempts, outbox::fate::deferred, in, "returned"};
  }
  static outbox::decision dead(outbox::row_ref ref) {
    return {ref, 0, outbox::fate::dead, {}, "refused"};
  }
  static outbox::decision pending(outbox::row_ref ref, int attempts = 0) {
    return {ref, attempts, outbox::fate::pending, {}, {}};
  }

  outbox::read_answer read(const outbox::read_request& request) {
    return answer_of<outbox::read_answer>([&](auto done) { world_->subject().read(request, done); })
        .value();
  }
  outbox::read_answer read() { return read(everything()); }

  std::vector<outbox::loaded_body> load_bodies(std::vector<outbox::row_ref> rows) {
    return answer_of<std::vector<outbox::loaded_body>>(
               [&](auto done) { world_->subject().load_bodies(rows, done); })
        .value();
  }
  std::vector<outbox::pause_in_force> load_pauses() {
    return answer_of<std::vector<outbox::pause_in_force>>(
               [&](auto done) { world_->subject().load_pauses(done); })
        .value();
  }
  std::vector<outbox::failed_row> load_failed(std::size_t limit, std::int64_t after = 0,
                                              bool dead_too = false) {
    return answer_of<std::vector<outbox::failed_row>>(
               [&](auto done) { world_->subject().load_failed(after, dead_too, limit, done); })
        .value();
  }
  outbox::settle_answer try_settle(std::vector<outbox::row_ref> rows) {
    return answer_of<outbox::settle_answer>(
               [&](auto done) { world_->subject().settle(rows, done); })
        .value();
  }
  std::size_t settle(std::vector<outbox::row_ref> rows) {
    const auto answer = try_settle(std::move(rows));
    EXPECT_TRUE(answer.locked.empty());
    return answer.changed;
  }
  outbox::decide_answer try_decide(std::int64_t epoch, std::vector<outbox::decision> decisions) {
    return answer_of<outbox::decide_answer>(
               [&](auto done) { world_->subject().decide(epoch, decisions, done); })
        .value();
  }
  std::vector<outbox::row_ref> decide(std::int64_t epoch, std::vector<outbox::decision> decisions) {
    const auto answer = try_decide(epoch, std::move(decisions));
    EXPECT_TRUE(answer.locked.empty());
    return answer.changed;
  }
  outbox::backlog measure(std::vector<outbox::id_range> where = {{1, last_id}}) {
    return answer_of<outbox::backlog>(
               [&](auto done) { world_->subject().measure(std::move(where), done); })
        .value();
  }
  std::size_t purge(std::chrono::milliseconds sent, std::chrono::milliseconds died,
                    std::size_t limit = 1000) {
    return answer_of<std::size_t>(
               [&](auto done) { world_->subject().purge(sent, died, limit, done); })
        .value();
  }

  row_state state_of(outbox::row_ref ref) { return world_->find(ref.id).value(); }

 private:
  std::unique_ptr<store_harness> world_;
};

}  // namespace outboxd::tests
