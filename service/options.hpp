// Maps settings to what each part may be told. Pure, but for secrets, which the parts read when
// they connect.
#pragma once

#include <string>

#include "outbox/migrator.hpp"
#include "outbox/pg_check.hpp"
#include "outbox/pg_leadership.hpp"
#include "outbox/pg_store.hpp"
#include "relay/amqp/amqp_publisher.hpp"
#include "relay/options.hpp"
#include "service/log.hpp"
#include "service/metrics.hpp"
#include "service/settings.hpp"

namespace outboxd::service {

relay::options relay_options(const settings& s);
relay::amqp::publisher_options publisher_options(const settings& s, const std::string& instance);
outbox::pg_options database_options(const settings& s, const std::string& instance, metrics& m);
outbox::lead_options lead_options(const settings& s, const std::string& instance, metrics& m);
log_options logging_options(const settings& s, const std::string& instance, bool terminal,
                            metrics& m);

// These read a secret, and fail when it cannot be read.
base::result<outbox::check_options> database_check_options(const settings& s);
base::result<outbox::migrate_options> migration_options(const settings& s);

}  // namespace outboxd::service
