// Cuts a SQL script into its statements, for tools and drivers that take one at a time. Knows
// comments, strings, quoted names and dollar quotes, in which semicolons end nothing; not strings
// with backslash escapes (E'…') nor bodies between BEGIN ATOMIC and END. Pure; any thread.
#pragma once

#include <string_view>
#include <vector>

namespace outboxd::outbox {

// In order, without the semicolons between them; the comments above a statement stay with it, those
// behind the last one are dropped. Views into `sql`.
std::vector<std::string_view> split_statements(std::string_view sql);

}  // namespace outboxd::outbox
