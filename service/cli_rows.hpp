// The part of the command line that is about rows in bulk: replay and purge. See cli.cpp.
#pragma once

#include <string>

#include "service/cli.hpp"

namespace CLI {
class App;
}

namespace outboxd::service {

// As written; the functions below judge it.
struct row_verbs {
  replay_command replay;
  std::string since, until;
  purge_command purge;
  std::string sent_older_than, dead_older_than;
};

void add_row_verbs(CLI::App& app, row_verbs& into);

command to_replay_command(const row_verbs& written);
command to_purge_command(const row_verbs& written);

// For an option: empty, or what is wrong with it.
std::string is_duration(const std::string& text);
std::string is_point_in_time(const std::string& text);

}  // namespace outboxd::service
