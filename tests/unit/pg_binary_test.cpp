#include "outbox/pg_binary.hpp"

#include <gtest/gtest.h>
#include <boost/uuid/string_generator.hpp>

#include <string_view>

namespace outboxd::outbox {
namespace {

using namespace std::string_view_literals;

const row_ref first{258, boost::uuids::string_generator()("0123abcd-4567-89ef-0123-456789abcdef")};
const row_ref second{-1, boost::uuids::string_generator()("ffffffff-0000-0000-0000-00000000000a")};

// One dimension, no nulls, the type's oid, the number of elements, counted from one.
TEST(pg_binary, ids_are_an_array_of_bigint) {
  EXPECT_EQ(ids_of({first, second}).bytes,
            "\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0\2\0\0\0\1"
            "\0\0\0\x8\0\0\0\0\0\0\1\2"
            "\0\0\0\x8\xff\xff\xff\xff\xff\xff\xff\xff"sv);
}

TEST(pg_binary, message_ids_are_an_array_of_uuid) {
  EXPECT_EQ(message_ids_of({first, second}).bytes,
            "\0\0\0\1\0\0\0\0\0\0\xb\x86\0\0\0\2\0\0\0\1"
            "\0\0\0\x10\x01\x23\xab\xcd\x45\x67\x89\xef\x01\x23\x45\x67\x89\xab\xcd\xef"
            "\0\0\0\x10\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\xa"sv);
}

}  // namespace
}  // namespace outboxd::outbox
