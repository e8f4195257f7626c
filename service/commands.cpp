#include "service/commands.hpp"

#include <unistd.h>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <ostream>
#include <random>

#include "service/application.hpp"
#include "service/dead_command.hpp"
#include "service/one_shot.hpp"
#include "service/pause_command.hpp"
#include "service/purge_command.hpp"
#include "service/reference.hpp"
#include "service/replay_command.hpp"
#include "service/settings_text.hpp"
#include "service/status_command.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

exit_code report(const loaded_settings& loaded, const streams& to) {
  for (const auto* list : {&loaded.warnings, &loaded.cautions}) {
    for (const auto& text : *list) to.err << "outboxd: warning: " << text << "\n";
  }
  for (const auto& text : loaded.errors) complain(text, to);
  return loaded.errors.empty() ? exit_code::done : exit_code::configuration;
}

// Where out has its result already, or a log is to come.
exit_code report_to_people(const loaded_settings& loaded, std::ostream& err) {
  return report(loaded, {err, err, output_format::table});
}

exit_code print_version(const streams& to) {
  if (to.format == output_format::json) {
    const boost::json::object all{{"version", version()}, {"revision", revision()}};
    to.out << boost::json::serialize(all) << "\n";
  } else {
    to.out << "outboxd " << version() << " (" << revision() << ")\n";
  }
  return exit_code::done;
}

exit_code show_settings(const loaded_settings& loaded, const streams& to) {
  to.out << render_settings(loaded, to.format);
  return report_to_people(loaded, to.err);
}

std::string instance_of(const settings& s, const environment& env) {
  if (!s.instance_id.empty()) return s.instance_id;
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return default_instance(env, host.data(), static_cast<std::uint16_t>(std::random_device{}()));
}

struct executor {
  const environment& env;
  streams to;

  exit_code operator()(const answer_command& c) const {
    if (c.code == exit_code::done) {
      to.out << c.text;
    } else {
      complain(c.text, to);
    }
    return c.code;
  }
  exit_code operator()(const version_command&) const { return print_version(to); }
  exit_code operator()(const config_command& c) const {
    if (c.reference.empty()) return show_settings(load(env), to);
    to.out << reference_page(c.reference);
    return exit_code::done;
  }
  exit_code operator()(const run_command&) const {
    // Its log says what the warnings say.
    const auto loaded = load(env);
    if (!loaded.errors.empty()) return report_to_people(loaded, to.err);
    return run(loaded, instance_of(loaded.values, env));
  }
  exit_code operator()(const migrate_command& c) const {
    return with_settings([&](const auto& loaded) { return migrate(loaded.values, c, to); });
  }
  exit_code operator()(const check_command&) const {
    return with_settings([&](const auto& loaded) { return check(loaded.values, to); });
  }
  exit_code operator()(const status_command& c) const {
    return with_settings([&](const auto& loaded) { return status(loaded.values, c, to); });
  }
  exit_code operator()(const dead_command& c) const {
    return with_settings([&](const auto& loaded) { return dead(loaded.values, c, to); });
  }
  exit_code operator()(const pause_command& c) const {
    return with_settings([&](const auto& loaded) { return pause(loaded.values, c, to); });
  }
  exit_code operator()(const replay_command& c) const {
    return with_settings([&](const auto& loaded) { return replay(loaded.values, c, to); });
  }
  exit_code operator()(const purge_command& c) const {
    return with_settings([&](const auto& loaded) { return purge(loaded.values, c, to); });
  }
  exit_code operator()(const healthcheck_command& c) const {
    return with_settings([&](const auto& loaded) { return healthcheck(loaded.values, c, to); });
  }

  template <typename Action>
  exit_code with_settings(Action action) const {
    const auto loaded = load(env);
    const auto verdict = report(loaded, to);
    return verdict == exit_code::done ? action(loaded) : verdict;
  }
};

}  // namespace

exit_code execute(const command_line& line, const environment& env, std::ostream& out,
                  std::ostream& err) {
  return std::visit(executor{env, {out, err, line.format}}, line.what);
}

}  // namespace outboxd::service
