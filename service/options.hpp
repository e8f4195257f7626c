// Maps settings to what each part may be told. Pure, but for secrets, which the parts read when
// they connect.
#pragma once

#include <string>

#include "outbox/migrator.hpp"
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
log_options logging_options(const settings& s, const std::string& instance, bool terminal,
                            metrics& m);

// Reads the owner's secret.
base::result<outbox::migrate_options> migration_options(const settings& s);

}  // namespace outboxd::service
