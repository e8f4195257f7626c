// Text that is bound for a log line or a text column: cut without breaking a UTF-8 sequence, and
// made safe when it comes from the other side. RabbitMQ cuts its reply texts at 255 bytes, in the
// middle of a character if need be, and a database that speaks UTF-8 refuses such a text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace outboxd::relay::amqp {

// The longest prefix of at most `limit` bytes that does not end inside a UTF-8 sequence.
std::string_view cut(std::string_view text, std::size_t limit);

// Control characters become a space; what is not UTF-8 becomes '?', byte by byte.
std::string one_line(std::string_view text);

}  // namespace outboxd::relay::amqp
