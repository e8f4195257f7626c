// Is a field table that came from the network sound? The library's decoder follows nested lengths
// by recursion without a limit of its own, so nothing reaches it that has not passed here.
#pragma once

#include <cstddef>
#include <string_view>

namespace outboxd::relay::amqp {

// A table begins at bytes[offset]. True: it and everything in it lies within its announced length,
// has known types and is nested at most max_table_depth levels; offset is behind it then.
bool skip_table(std::string_view bytes, std::size_t& offset);

// A short string begins at bytes[offset]. True: it is complete; offset is behind it then.
bool skip_short_string(std::string_view bytes, std::size_t& offset);

}  // namespace outboxd::relay::amqp
