#include "service/problem.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <array>

#include "base/text.hpp"

namespace outboxd::service {
namespace {

struct title_of {
  unsigned status;
  std::string_view title;
};

constexpr std::array titles{
    title_of{400, "Bad Request"},
    title_of{401, "Unauthorized"},
    title_of{403, "Forbidden"},
    title_of{404, "Not Found"},
    title_of{405, "Method Not Allowed"},
    title_of{409, "Conflict"},
    title_of{415, "Unsupported Media Type"},
    title_of{421, "Misdirected Request"},
    title_of{500, "Internal Server Error"},
    title_of{503, "Service Unavailable"},
    title_of{504, "Gateway Timeout"},
};

std::string_view title(unsigned status) {
  for (const auto& each : titles) {
    if (each.status == status) return each.title;
  }
  return "Error";
}

unsigned status_of(base::failure_kind kind) {
  switch (kind) {
    case base::failure_kind::bad_input:
      return 400;
    case base::failure_kind::unavailable:
    case base::failure_kind::cancelled:
    case base::failure_kind::not_ready:
    case base::failure_kind::forbidden:
      return 503;
    case base::failure_kind::rejected:
      return 409;
  }
  return 500;
}

}  // namespace

http_reply problem(unsigned status, std::string_view detail) {
  const boost::json::object all{{"type", "about:blank"},
                                {"title", title(status)},
                                {"status", status},
                                {"detail", base::as_text(detail)}};
  return {.status = status,
          .content_type = "application/problem+json",
          .body = boost::json::serialize(all) + "\n"};
}

http_reply problem(const base::failure& why) {
  return problem(status_of(why.kind), why.text);
}

}  // namespace outboxd::service
