// Answers the admin listener: the page at /, and /admin/v1/… for those who may. What asks the
// database runs on a thread that is made for the first such request; each is answered within a time
// limit, and cut off then. Every action is one line of the audit log, written when its end is
// known. Executor thread only. stop() is idempotent: whatever is still asked is answered 503.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "base/result.hpp"
#include "service/admin_actions.hpp"
#include "service/blocking_calls.hpp"
#include "service/http_handlers.hpp"
#include "service/http_message.hpp"

namespace outboxd::service {

struct admin_source {
  http_source status;
  // Asked at every request; none: no token is wanted.
  std::function<base::result<std::optional<std::string>>()> token;
  std::shared_ptr<admin_database> database;
};

class admin_api {
 public:
  // audit: must write every line, repeated ones too. limit: of an answer from the database.
  admin_api(boost::asio::any_io_executor executor, admin_source source, base::logger& audit,
            base::logger& log, std::chrono::milliseconds limit = std::chrono::seconds(60));
  ~admin_api();

  void answer(const http_request& request, http_respond respond);
  void stop();

 private:
  struct question;

  std::optional<http_reply> refuse(const http_request& request);
  void ask(admin_call call, const http_request& request, http_respond respond);
  void give_up(question& q, http_reply reply);
  void finished(const std::shared_ptr<question>& q);
  static std::string_view result_of(const question& q);
  void write_down(const question& q);

  boost::asio::any_io_executor executor_;
  const admin_source source_;
  base::logger& audit_;
  base::logger& log_;
  const std::chrono::milliseconds limit_;
  std::set<std::shared_ptr<question>> questions_;
  blocking_calls calls_;
};

}  // namespace outboxd::service
