// The parts of check_database() that look at the server rather than at the schema. Each throws what
// its session throws.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "outbox/pg_check.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {

// From one session of ours to another, as the services wake the relay.
check_line check_notify(session& db, session& other);

// How far the server's clock is from this host's.
check_line check_clock(session& db);

// Whether anything removes what was sent from the table's files.
check_line check_autovacuum(session& db, const std::string& schema);

// Who keeps vacuum from removing what was sent: transactions, prepared ones too, that are older
// than this, replication slots, stand-bys. One line each, or one that says that there is nobody.
std::vector<check_line> check_horizon(session& db, std::chrono::milliseconds old);

}  // namespace outboxd::outbox
