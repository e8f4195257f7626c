// Writes the binary seeds: fuzz_make_seeds tests/fuzz/corpus. Each file is called what it is. The
// seeds of the other targets are lines of text, written by hand.
#include <filesystem>
#include <fstream>

#include "tests/unit/broker_frames.hpp"

namespace {

using namespace outboxd::relay::amqp;

std::filesystem::path corpus;

void write(const std::string& target, const std::string& name, const std::string& bytes) {
  create_directories(corpus / target);
  std::ofstream(corpus / target / name, std::ios::binary) << bytes;
}

// ---- amqp_decoder: how (1: frame_max 4096, 2: whole frames, high bits: number of piece sizes),
// piece sizes, bytes ----

std::string raw(const std::string& bytes) {
  return std::string("\0\3", 2) + bytes;
}
std::string tuned(const std::string& bytes) {
  return std::string("\1\377", 2) + bytes;
}

// As next_frame() in broker_frame.hpp reads them.
std::string records(const std::string& bytes) {
  std::string all;
  for (const auto& f : wire::frames(bytes))
    all += static_cast<char>(f.type) + wire::number(static_cast<std::uint64_t>(f.channel), 1) +
           wire::number(f.payload.size(), 2) + f.payload;
  return all;
}
std::string whole(const std::string& bytes) {
  return std::string("\2\20", 2) + records(bytes);
}

std::string nested(int levels) {
  std::string table = field("k", 't', "\1");
  for (int i = 1; i < levels; ++i) table = field("k", 'F', wire::long_string(table));
  return table;
}

std::string one_of_each_type() {
  return field("t", 't', "\1") + field("b", 'b', "x") + field("B", 'B', "x") +
         field("s", 's', "xx") + field("u", 'u', "xx") + field("I", 'I', "xxxx") +
         field("i", 'i', "xxxx") + field("l", 'l', wire::number(7, 8)) +
         field("d", 'd', wire::number(0, 8)) + field("f", 'f', "xxxx") + field("D", 'D', "\2xxxx") +
         field("T", 'T', wire::number(1'700'000'000, 8)) +
         field("S", 'S', wire::long_string("text")) + field("x", 'x', wire::long_string("bytes")) +
         field("V", 'V', "") + field("F", 'F', wire::long_string(field("k", 'V', ""))) +
         field("A", 'A',
               wire::long_string("VS" + wire::long_string("one") + "A" + wire::long_string("V")));
}

void decoder_seeds() {
  const auto both = [](const std::string& name, const std::string& bytes) {
    write("amqp_decoder", name, raw(bytes));
    write("amqp_decoder", name + "_in_whole_frames", whole(bytes));
  };
  both("a_conversation", a_conversation());
  both("acks_multiple", an_ack(1, 5, true) + a_nack(1, 6, 1) + an_ack(1, 0, true));
  both("a_return", a_return(1, "body"));
  both("a_return_in_the_middle_of_another", a_return_method(1) + a_return(2, "body"));
  both("tables_64_deep", start_with(nested(63)));
  both("tables_too_deep", start_with(nested(70)));
  both("one_field_of_each_type", start_with(one_of_each_type()));
  both("flow_and_blocked", wire::a_method(1, 20, 20, "\1") +
                               wire::a_method(0, 10, 60, wire::short_string("low on memory")) +
                               wire::a_method(0, 10, 61));
  both("closes", a_close(2, 20, "NOT_FOUND") + a_close(0, 10, "CONNECTION_FORCED"));
  both("a_deliver",
       wire::a_method(1, 60, 60,
                      wire::short_string("c") + wire::number(1, 8) + wire::number(0, 1) +
                          wire::short_string("") + wire::short_string("")));
  both("a_channel_not_open", an_ack(3, 1, false));
  both("undersized_frames", wire::a_frame(8, 0, "") + wire::a_frame(1, 0, "\0"));
  const std::string property = returned_properties(one_of_each_type());
  both("properties", a_return_method(1) + wire::a_content_header(1, 0, returned_flags, property));
  write("amqp_decoder", "frame_max_reached", tuned(wire::a_frame(1, 0, std::string(4088, 'x'))));
  write("amqp_decoder", "frame_max_passed", tuned(wire::a_frame(1, 0, std::string(4089, 'x'))));
  write("amqp_decoder", "a_size_of_4_gib", raw("\1" + wire::number(0, 2) + wire::number(~0u, 4)));
  write("amqp_decoder", "another_protocol", raw(std::string("AMQP\0\3\1\0", 8)));
}

// ---- amqp_session: phase, steps as in amqp_session.cpp ----

std::string flood(std::uint8_t times, const std::string& frame) {
  return std::string("\21") + static_cast<char>(times - 1) + records(frame);
}

void session_seeds() {
  const std::string open = "\5", row{'\0'}, written = "\14", blocked{"\13\0", 2};
  const auto ack = [](char tag) { return std::string("\2") + tag; };
  const auto ack_up_to = [](char tag) { return std::string("\3") + tag; };
  const auto nack = [](char tag) { return std::string("\4") + tag + '\0'; };
  const auto returned = [](char number) { return std::string("\5") + number; };
  const auto seed = [](const std::string& name, const std::string& steps) {
    write("amqp_session", name, steps);
  };
  const std::string three = row + row + row;
  seed("acks", open + three + ack(2) + ack_up_to(3));
  seed("ack_over_nacked", open + three + nack(2) + ack_up_to(3));
  seed("ack_of_everything", open + three + ack_up_to(0) + ack_up_to(0));
  seed("ack_twice", open + three + ack(1) + ack(1));
  seed("ack_of_an_unknown_tag", open + row + ack(7));
  seed("ack_of_tag_0", open + row + ack(0));
  seed("return_before_its_ack", open + row + returned(1) + ack(1));
  seed("return_without_an_ack", open + row + returned(1));
  seed("return_after_its_ack", open + row + ack(1) + returned(1));
  seed("return_of_another", open + row + returned(9));
  seed("a_declared_exchange", open + "\1ex\nkey\n" + "\1ex\nkey\n" + "\6" + ack_up_to(2));
  seed("a_missing_exchange", open + "\1ex\nkey\n" + "\1other\nkey\n" + "\10" + "\11\2" + "\6");
  seed("a_channel_lost_and_opened_again", open + three + "\7\16\11\1\12\1" + row + ack(1));
  seed("a_connection_closed", open + three + flood(1, a_close(0, 10, "bye")));
  seed("closing",
       open + row + std::string("\17\0", 2) + ack(1) + flood(1, wire::a_method(0, 10, 51)));
  seed("ticks_without_a_word", open + row + "\15\15\15\15\15\15");
  seed("blocked", open + row + blocked + row + ack(1) + "\13\1" + row + written + ack(2));
  seed("flow_for_ever_while_blocked", open + blocked + flood(255, wire::a_method(1, 20, 20, "\1")) +
                                          flood(255, wire::a_method(1, 20, 20, "\1")) +
                                          flood(255, wire::a_method(1, 20, 20, "\1")) +
                                          flood(255, wire::a_method(1, 20, 20, "\1")) +
                                          flood(255, wire::a_method(1, 20, 20, "\1")) +
                                          flood(255, wire::a_method(1, 20, 20, "\1")));
  for (char phase = 0; phase < 6; ++phase)
    seed(std::string("contents_in_phase_") + static_cast<char>('0' + phase),
         std::string(1, phase) + row + flood(2, a_return(1, "body")) +
             flood(1, wire::a_frame(3, 1, "x")));
  for (const int frame_max : {0, 1, 4095, 4096})
    seed("frame_max_" + std::to_string(frame_max),
         "\1" +
             flood(1, wire::a_method(0, 10, 30,
                                     wire::number(2047, 2) +
                                         wire::number(static_cast<std::uint64_t>(frame_max), 4) +
                                         wire::number(60, 2))) +
             row);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 64;
  corpus = arguments[1];
  decoder_seeds();
  session_seeds();
}
