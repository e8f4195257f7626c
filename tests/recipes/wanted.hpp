// What a recipe needs, and a skip with its name where it is not here.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/child_process.hpp"

namespace outboxd::tests {

// Whether the program can be started and ends well.
inline bool works(const std::vector<std::string>& argv) {
  try {
    run({argv});
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

inline bool has_python(const std::string& module) {
  return works({"/usr/bin/python3", "-c", "import " + module});
}

}  // namespace outboxd::tests

#define OUTBOXD_SKIP_UNLESS(there, what) \
  if (!(there)) GTEST_SKIP() << (what) << " is not here: ./dev test recipes installs it"

#define OUTBOXD_WANTS(path) OUTBOXD_SKIP_UNLESS(std::filesystem::exists(path), path)
