// What /status.json says: the page polls it. Pure.
#pragma once

#include <boost/json/array.hpp>

#include <string>
#include <vector>

#include "service/process_view.hpp"
#include "service/readiness.hpp"
#include "service/samples.hpp"

namespace outboxd::service {

// [{"name": "broker", "ok": false, "detail": "…"}, …], in valid UTF-8.
boost::json::array as_json(const std::vector<readiness_check>& checks);

std::string status_json(const process_view& now, const samples& metrics);

}  // namespace outboxd::service
