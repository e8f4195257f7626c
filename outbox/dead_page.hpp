// Dead rows in bulk: one page of them. For decide_dead() and row_pages.
#pragma once

#include <cstdint>
#include <string>

#include "outbox/dead_rows.hpp"
#include "outbox/row_pages.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {

// As the pages of row_pages. Throws what its session throws.
row_page dead_page(session& db, const std::string& schema, const dead_row_filter& which,
                   dead_row_fate what, std::int64_t after, int batch, bool count_only);

}  // namespace outboxd::outbox
