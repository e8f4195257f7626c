#include <unistd.h>

#include <exception>
#include <iostream>

#include "service/commands.hpp"

namespace {

outboxd::service::environment process_environment() {
  outboxd::service::environment env;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (const auto equals = text.find('='); equals != std::string_view::npos) {
      env.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return env;
}

}  // namespace

int main(int argc, char** argv) try {
  using namespace outboxd::service;
  const auto line = parse_command_line({argv + 1, argv + argc});
  return static_cast<int>(execute(line, process_environment(), std::cout, std::cerr));
} catch (const std::exception& e) {
  std::cerr << "outboxd: " << e.what() << "\n";
  return static_cast<int>(outboxd::service::exit_code::bug);
}
