// Finds misspelt OUTBOX_* variables.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "service/settings.hpp"

namespace outboxd::service {

// One warning for each variable that begins with OUTBOX_ and is no setting, with the nearest name.
// What Kubernetes injects for services called outbox or outbox-… draws none.
std::vector<std::string> unknown_names(const environment& env);

// OUTBOX_PORT, OUTBOX_SERVICE_HOST, OUTBOX_DB_SERVICE_PORT, OUTBOX_DB_PORT_5432_TCP_ADDR, …
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
bool is_service_link(std::string_view name);

}  // namespace outboxd::service
