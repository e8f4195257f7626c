#include "tests/support/broker_log.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

constexpr const char* provoked = "the end of what is to be seen";

bool contains(const std::string& line, const char* text) {
  return line.find(text) != std::string::npos;
}

}  // namespace

broker_log::broker_log() {
  shared_rabbitmq();
  file_ = (scratch_directory() / "rabbitmq" / "rabbitmq.log").string();
  begin_ = std::filesystem::file_size(file_);
}

// "Error on AMQP connection …", "Channel error on connection …" and the lines that go on with
// "operation … caused a … exception …".
std::vector<std::string> broker_log::complaints() const {
  std::ifstream in(file_);
  in.seekg(static_cast<std::streamoff>(begin_));
  if (!in) throw std::runtime_error("cannot read " + file_);
  std::vector<std::string> found;
  for (std::string line; std::getline(in, line);) {
    if (contains(line, "exception") || contains(line, "CRASH") || contains(line, "internal_error"))
      found.push_back(line);
  }
  return found;
}

std::vector<std::string> broker_log::other_complaints(const std::string& url) const {
  amqp_probe(url).has_exchange(provoked);
  std::vector<std::string> found;
  const auto is_provoked = [](const std::string& line) { return contains(line, provoked); };
  if (!eventually(60s, [&] {
        found = complaints();
        return std::any_of(found.begin(), found.end(), is_provoked);
      })) {
    throw std::runtime_error("the broker does not log what it refuses");
  }
  std::erase_if(found, is_provoked);
  return found;
}

}  // namespace outboxd::tests
