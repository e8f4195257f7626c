#include "examples/user_card/demo/options.hpp"

#include <CLI/CLI.hpp>

namespace user_card::demo {

std::optional<options> parse(int argc, char** argv, int& exit_status) {
  options chosen;
  chosen.outboxd = USER_CARD_OUTBOXD;
  CLI::App app{"Users sign up, cards come back, and everything in between fails in turn."};
  app.add_option("--users", chosen.users, "How many users sign up")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--rate", chosen.rate, "How many of them in a second")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", chosen.seed, "Who changes their mind, and who is killed when")
      ->capture_default_str();
  app.add_flag("--keep", chosen.keep, "Leave everything running at the end, until Ctrl-C");
  app.add_option("--outboxd", chosen.outboxd, "The sidecar to run")->check(CLI::ExistingFile);
  try {
    app.parse(argc, argv);
    return chosen;
  } catch (const CLI::ParseError& error) {
    exit_status = app.exit(error);
    return std::nullopt;
  }
}

}  // namespace user_card::demo
