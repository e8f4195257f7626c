#include "service/cli_tree.hpp"

#include <CLI/CLI.hpp>

namespace outboxd::service {
namespace {

// CLI11 has the choices in the name of the type only, "TEXT:{table,json}".
std::vector<std::string> choices_of(const std::string& type) {
  const auto begin = type.find('{'), end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return {};
  return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

std::string value_of(const CLI::Option& option) {
  if (!option.nonpositional()) return option.get_name(true);
  if (option.get_items_expected_max() == 0) return {};
  const std::string type = option.get_type_name();
  return type.starts_with("TEXT") ? "TEXT" : "NUMBER";
}

cli_option read_option(const CLI::Option& option) {
  cli_option result;
  for (const auto& name : option.get_snames()) result.names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) result.names.push_back("--" + name);
  result.value = value_of(option);
  result.choices = choices_of(option.get_type_name());
  result.sentence = option.get_description();
  return result;
}

// CLI11 gives every verb an option --help of its own; it is named once, at the root.
bool worth_naming(const CLI::App& app, const CLI::Option* option) {
  return app.get_parent() == nullptr || option != app.get_help_ptr();
}

// Reserved verbs take any line, to say that they are not there.
bool reserved(const CLI::App* verb) {
  return verb->get_prefix_command();
}

void walk(const std::string& before, const cli_verb& verb, const verb_visitor& visit) {
  for (const auto& child : verb.verbs) {
    const std::string path = before + child.name;
    visit(path, child);
    walk(path + " ", child, visit);
  }
}

}  // namespace

cli_verb read_tree(const CLI::App& app) {
  cli_verb result{app.get_name(), app.get_description(), {}, {}};
  for (const auto* option : app.get_options()) {
    if (worth_naming(app, option)) result.options.push_back(read_option(*option));
  }
  for (const auto* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!reserved(verb)) result.verbs.push_back(read_tree(*verb));
  }
  return result;
}

void each_verb(const cli_verb& root, const verb_visitor& visit) {
  walk("", root, visit);
}

}  // namespace outboxd::service
