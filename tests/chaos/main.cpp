// Chaos against real servers: see run.hpp, and CONTRIBUTING.md for how to use it.
#include <CLI/CLI.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/chaos/run.hpp"

int main(int argc, char** argv) {
  using namespace outboxd;
  chaos::run_options chosen;
  chosen.seed = std::random_device()();
  CLI::App app{"Writers, sidecars and consumers, while everything between them fails."};
  app.add_option(
         "--profile", chosen.where,
         "single: one broker, one database. cluster: three brokers and quorum queues, and a "
         "database with a synchronous stand-by")
      ->transform(CLI::CheckedTransformer(std::map<std::string, chaos::profile>{
          {"single", chaos::profile::single}, {"cluster", chaos::profile::cluster}}));
  app.add_option("--minutes", chosen.minutes, "How long faults go on")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", chosen.seed, "Repeats the faults and rows of a run; random unless given")
      ->envname("CHAOS_SEED");
  app.add_option("--replicas", chosen.replicas, "Sidecars")
      ->check(CLI::Range(1, 9))
      ->capture_default_str();
  app.add_option("--rate", chosen.rows_per_second, "Rows a second, about")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--output", chosen.output,
                 "Folder of the report, and of the logs after a failure");
  app.add_option_function<std::vector<std::string>>(
         "--set",
         [&](const std::vector<std::string>& all) {
           for (const std::string& each : all) {
             const auto middle = each.find('=');
             if (middle == std::string::npos)
               throw CLI::ValidationError("--set", "no = in " + each);
             chosen.settings[each.substr(0, middle)] = each.substr(middle + 1);
           }
         },
         "A setting of the sidecars, NAME=VALUE")
      ->type_name("NAME=VALUE");
  CLI11_PARSE(app, argc, argv);
  if (chosen.output.empty()) {
    chosen.output =
        std::filesystem::temp_directory_path() / ("outboxd-chaos-" + std::to_string(chosen.seed));
  }
  try {
    const chaos::summary result = chaos::run(chosen);
    const std::string report = chaos::table(result);
    std::ofstream(chosen.output / "report.txt") << report;
    std::ofstream(chosen.output / "report.json") << chaos::json(result) << "\n";
    std::cout << report << (result.passed() ? "report: " : "report, logs and facts: ")
              << chosen.output.string() << "\n";
    return result.passed() ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "chaos: " << error.what() << "\n";
    return 1;
  }
}
