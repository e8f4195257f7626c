#include "service/commands.hpp"

#include <ostream>

#include "service/metrics_table.hpp"
#include "service/settings_text.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

exit_code report_errors(const loaded_settings& loaded, std::ostream& err) {
  for (const auto& text : loaded.warnings) err << "outboxd: warning: " << text << "\n";
  for (const auto& text : loaded.errors) err << "outboxd: " << text << "\n";
  return loaded.errors.empty() ? exit_code::done : exit_code::configuration;
}

struct executor {
  const environment& env;
  output_format format;
  std::ostream& out;
  std::ostream& err;

  exit_code operator()(const answer_command& c) const {
    (c.code == exit_code::done ? out : err) << c.text;
    return c.code;
  }
  exit_code operator()(const version_command&) const {
    out << "outboxd " << version() << " (" << revision() << ")\n";
    return exit_code::done;
  }
  exit_code operator()(const config_command& c) const {
    if (c.reference == "configuration") {
      out << settings_reference();
      return exit_code::done;
    }
    if (c.reference == "metrics") {
      out << metrics_reference();
      return exit_code::done;
    }
    const auto loaded = load(env);
    out << render_settings(loaded, format);
    return report_errors(loaded, err);
  }
  exit_code operator()(const auto&) const { return exit_code::usage; }
};

}  // namespace

exit_code execute(const command_line& line, const environment& env, std::ostream& out,
                  std::ostream& err) {
  return std::visit(executor{env, line.format, out, err}, line.what);
}

}  // namespace outboxd::service
