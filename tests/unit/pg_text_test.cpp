#include "outbox/pg_text.hpp"

#include <gtest/gtest.h>
#include <boost/uuid/string_generator.hpp>

#include <stdexcept>

namespace outboxd::outbox {
namespace {

TEST(pg_text, array_elements_are_quoted_so_that_nothing_in_them_means_anything) {
  EXPECT_EQ(text_array({}), "{}");
  EXPECT_EQ(text_array({"", "NULL", "a,b", "{", "say \"hi\"", "back\\slash"}),
            R"({"","NULL","a,b","{","say \"hi\"","back\\slash"})");
}

TEST(pg_text, arrays_of_plain_values) {
  EXPECT_EQ(bigint_array({1, -2, 9223372036854775807}), "{1,-2,9223372036854775807}");
}

TEST(pg_text, a_uuid_is_read) {
  const std::string text = "0123abcd-4567-89ef-0123-456789abcdef";
  const auto id = boost::uuids::string_generator()(text);
  EXPECT_EQ(parse_uuid(text), id);
}

TEST(pg_text, what_is_no_uuid_is_refused) {
  EXPECT_THROW(parse_uuid(""), std::runtime_error);
  EXPECT_THROW(parse_uuid("0123abcd-4567-89ef-0123-456789abcde"), std::runtime_error);
  EXPECT_THROW(parse_uuid("0123abcd-4567-89ef-0123-456789abcdeg"), std::runtime_error);
  EXPECT_THROW(parse_uuid("0123abcd04567089ef001230456789abcdef"), std::runtime_error);
}

TEST(pg_text, bytea_is_decoded_byte_for_byte) {
  EXPECT_EQ(decode_bytea("\\x"), "");
  EXPECT_EQ(decode_bytea("\\x00fF7f"), std::string("\0\xff\x7f", 3));
}

TEST(pg_text, what_is_no_hex_is_refused) {
  EXPECT_THROW(decode_bytea("abc"), std::runtime_error);
  EXPECT_THROW(decode_bytea("\\x0"), std::runtime_error);
  EXPECT_THROW(decode_bytea("\\x0g"), std::runtime_error);
  EXPECT_THROW(decode_bytea("\\x\\0"), std::runtime_error);
}

TEST(pg_text, a_text_that_can_be_stored_stays_as_it_is) {
  EXPECT_EQ(storable_text("no queue „ключ“ 🐇", 100), "no queue „ключ“ 🐇");
}

TEST(pg_text, a_strangers_bytes_become_storable) {
  EXPECT_EQ(storable_text(std::string("a\0b", 3), 100), "a?b");
  EXPECT_EQ(storable_text("a\xffz", 100), "a?z");
  EXPECT_EQ(storable_text("\xc0\xaf", 100), "??") << "overlong";
  EXPECT_EQ(storable_text("\xed\xa0\x80", 100), "???") << "a surrogate";
  EXPECT_EQ(storable_text("\xf4\x90\x80\x80", 100), "????") << "above U+10FFFF";
  EXPECT_EQ(storable_text("\xe2\x82", 100), "??") << "cut off";
}

TEST(pg_text, a_text_is_cut_between_characters) {
  EXPECT_EQ(storable_text("aé", 2), "a");
  EXPECT_EQ(storable_text("aé", 3), "aé");
}

}  // namespace
}  // namespace outboxd::outbox
