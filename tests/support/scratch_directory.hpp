// The directory of this test process, below $TMPDIR, made on first use. A guard process outside of
// our session waits for our end, however we end, then kills every server and child that we started
// and removes the directory. Callable from any thread.
#pragma once

#include <filesystem>
#include <string>

namespace outboxd::tests {

const std::filesystem::path& scratch_directory();

// The script that starts and stops servers, and guards the directory.
std::string servers_script();

}  // namespace outboxd::tests
