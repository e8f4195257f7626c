#include "service/migrate_print.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <ostream>

namespace outboxd::service {
namespace {

namespace fs = std::filesystem;
using printed_files = std::vector<outbox::printed_file>;

exit_code refuse(const std::string& why, const streams& to) {
  complain(why, to);
  return exit_code::usage;
}

// As the tools themselves number a new migration.
std::string time_as_number() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  const auto size = std::strftime(text.data(), text.size(), "%Y%m%d%H%M%S", &utc);
  return {text.data(), size};
}

void show(const printed_files& files, bool with_names, const streams& to) {
  if (to.format == output_format::json) {
    boost::json::array all;
    for (const auto& file : files)
      all.push_back(boost::json::object{{"name", file.name}, {"text", file.text}});
    to.out << boost::json::serialize(all) << "\n";
    return;
  }
  for (const auto& file : files) {
    if (with_names) to.out << "==> " << file.name << " <==\n";
    to.out << file.text;
    if (with_names && &file != &files.back()) to.out << "\n";
  }
}

exit_code write(const printed_files& files, const fs::path& directory, const streams& to) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return refuse(directory.string() + ": " + error.message(), to);
  for (const auto& file : files) {
    if (fs::exists(directory / file.name, error))
      return refuse((directory / file.name).string() + " is there already", to);
  }
  boost::json::array written;
  for (const auto& file : files) {
    const auto path = directory / file.name;
    std::ofstream out(path);
    out << file.text << std::flush;
    if (!out) return refuse(path.string() + ": " + std::strerror(errno), to);
    written.push_back(boost::json::object{{"path", path.string()}});
    if (to.format == output_format::table) to.out << path.string() << "\n";
  }
  if (to.format == output_format::json) to.out << boost::json::serialize(written) << "\n";
  return exit_code::done;
}

}  // namespace

exit_code print_migrations(const outbox::schema_names& names, const migrate_command& how,
                           const streams& to) {
  auto options = how.print;
  options.names = names;
  if (options.number.empty() && outbox::is_numbered(options.format))
    options.number = time_as_number();
  const auto files = outbox::print(options);
  if (!files) return refuse(files.error().text, to);
  if (!how.directory.empty()) return write(*files, how.directory, to);
  show(*files, options.format != "sql", to);
  return exit_code::done;
}

}  // namespace outboxd::service
