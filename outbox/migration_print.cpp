#include "outbox/migration_print.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "outbox/sql_statements.hpp"

namespace outboxd::outbox {

namespace {

base::failure refuse(std::string why) {
  return {base::failure_kind::bad_input, std::move(why)};
}

// One version, with names filled in.
struct step {
  std::string title;     // "schema version 1 (outbox)"
  std::string revision;  // outboxd_0001
  std::string slug;      // outboxd_0001_outbox
  std::string number;    // of the tool's own, where it has them
  std::string after;     // the revision before; empty where there is none
  std::string up, down;
};

using steps = std::vector<step>;
using printed_files = std::vector<printed_file>;

// --- one for each tool ------------------------------------------------------------------------

printed_files as_sql(const steps& all) {
  std::string text =
      "-- The schema of outboxd. Run it in one transaction, as the role that is to own the "
      "tables;\n"
      "-- with psql: psql -v ON_ERROR_STOP=1 --single-transaction -f <this file>\n";
  for (const auto& s : all) text += "\n" + s.up;
  return {{"outboxd_schema.sql", text}};
}

printed_files as_flyway(const steps& all) {
  printed_files files;
  for (const auto& s : all) files.push_back({"V" + s.number + "__" + s.slug + ".sql", s.up});
  return files;
}

// "--rollback " before each line that says something.
std::string rollback_lines(std::string_view sql) {
  std::string text;
  while (!sql.empty()) {
    const auto line = sql.substr(0, sql.find('\n'));
    sql.remove_prefix(std::min(line.size() + 1, sql.size()));
    if (!line.empty()) text.append("--rollback ").append(line).append("\n");
  }
  return text;
}

// Whole: whether Liquibase knows where a body ends depends on its version, and it would take the
// comments out of functions.
printed_files as_liquibase(const steps& all) {
  printed_files files;
  for (const auto& s : all) {
    files.push_back(
        {s.slug + ".sql", "--liquibase formatted sql\n\n--changeset outboxd:" + s.revision +
                              " dbms:postgresql splitStatements:false stripComments:false"
                              " rollbackSplitStatements:false\n" +
                              s.up + "\n" + rollback_lines(s.down)});
  }
  return files;
}

printed_files as_dbmate(const steps& all) {
  printed_files files;
  for (const auto& s : all) {
    files.push_back({s.number + "_" + s.slug + ".sql",
                     "-- migrate:up\n" + s.up + "\n-- migrate:down\n" + s.down});
  }
  return files;
}

printed_files as_golang_migrate(const steps& all) {
  printed_files files;
  for (const auto& s : all) {
    files.push_back({s.number + "_" + s.slug + ".up.sql", s.up});
    files.push_back({s.number + "_" + s.slug + ".down.sql", s.down});
  }
  return files;
}

// A list of raw strings: some of Alembic's drivers take one statement at a time.
std::string python_list(std::string_view sql) {
  std::string text = "[\n";
  for (const auto statement : split_statements(sql))
    text.append("    r\"\"\"\n").append(statement).append("\n\"\"\",\n");
  return text + "]\n";
}

std::string python_string(const std::string& word) {
  return word.empty() ? "None" : '"' + word + '"';
}

printed_files as_alembic(const steps& all) {
  printed_files files;
  for (const auto& s : all) {
    const bool alone = s.after.empty();
    files.push_back(
        {s.slug + ".py",
         "\"\"\"outboxd: " + s.title + "\n\nRevision ID: " + s.revision + "\nRevises: " + s.after +
             "\n\"\"\"\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision = \"" +
             s.revision + "\"\ndown_revision = " + python_string(s.after) +
             "\nbranch_labels = " + (alone ? "(\"outboxd\",)" : "None") +
             "\ndepends_on = None\n\nUP = " + python_list(s.up) +
             "\nDOWN = " + python_list(s.down) +
             "\n\ndef run(statements):\n    for sql in statements:\n"
             "        op.execute(sa.text(sql.replace(\":\", r\"\\:\")))  # a colon, no parameter\n"
             "\n\ndef upgrade():\n    run(UP)\n\n\ndef downgrade():\n    run(DOWN)\n"});
  }
  return files;
}

// outboxd_0001_outbox: Outboxd0001Outbox
std::string class_name(std::string_view slug) {
  std::string name;
  bool first = true;
  for (const char c : slug) {
    if (c != '_')
      name += first ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    first = c == '_';
  }
  return name;
}

// Text, not a migration: EF keeps a snapshot of its model with each migration that it makes itself,
// and would miss it with ours.
printed_files as_ef(const steps& all) {
  printed_files files;
  for (const auto& s : all) {
    const auto name = class_name(s.slug);
    files.push_back({name + "Sql.cs", "// outboxd: " + s.title +
                                          ". To be run by a migration:\n"
                                          "// migrationBuilder.Sql(" +
                                          name +
                                          "Sql.Up) and .Down\n"
                                          "namespace Outboxd;\n\ninternal static class " +
                                          name + "Sql\n{\n    public const string Up = \"\"\"\n" +
                                          s.up +
                                          "\"\"\";\n\n    public const string Down = \"\"\"\n" +
                                          s.down + "\"\"\";\n}\n"});
  }
  return files;
}

// In quotes a heredoc leaves everything as it is.
std::string ruby_method(std::string_view name, const std::string& sql) {
  return "  def " + std::string(name) + "\n    execute <<-'SQL'\n" + sql + "SQL\n  end\n";
}

printed_files as_rails(const steps& all) {
  printed_files files;
  for (const auto& s : all) {
    files.push_back({s.number + "_" + s.slug + ".rb",
                     "# outboxd: " + s.title + "\nclass " + class_name(s.slug) +
                         " < ActiveRecord::Migration[6.1]\n" + ruby_method("up", s.up) + "\n" +
                         ruby_method("down", s.down) + "end\n"});
  }
  return files;
}

struct format {
  std::string_view name;
  bool numbered;
  printed_files (*write)(const steps&);
};

constexpr std::array formats{
    format{"sql", false, as_sql},
    format{"flyway", true, as_flyway},
    format{"liquibase", false, as_liquibase},
    format{"dbmate", true, as_dbmate},
    format{"golang-migrate", true, as_golang_migrate},
    format{"alembic", false, as_alembic},
    format{"ef", false, as_ef},
    format{"rails", true, as_rails},
};

// --- what they write ----------------------------------------------------------------------------

std::string all_roles() {
  std::string sql = "-- Roles and grants\n";
  for (const auto& role : role_files()) sql += "\n" + std::string(role.sql);
  return sql;
}

// What the tool's number is after that many.
std::string counted_on(const std::string& digits, std::size_t by) {
  if (digits.empty()) return "";
  auto text = std::to_string(std::stoull(digits) + by);
  if (text.size() < digits.size()) text.insert(0, digits.size() - text.size(), '0');
  return text;
}

std::string revision_of(int version) {
  const auto digits = std::to_string(version);
  return "outboxd_" + std::string(4 - std::min<std::size_t>(digits.size(), 4), '0') + digits;
}

step step_of(const migrations::migration& m, const print_options& o) {
  step s;
  s.title = "schema version " + label(m.version, m.title);
  s.revision = revision_of(m.version);
  s.slug = s.revision + "_" + std::string(m.title);
  s.number = counted_on(o.number, static_cast<std::size_t>(m.version - o.from));
  if (m.version == o.from && !o.after.empty()) {
    s.after = o.after;
  } else if (m.version > 1) {
    s.after = revision_of(m.version - 1);
  }
  s.up = "-- outboxd: " + s.title + "\n\n" +
         fill_in(std::string(m.up) + "\n" + record_sql(m), o.names);
  s.down = fill_in(forget_sql(m) + std::string(m.down), o.names);
  return s;
}

bool is_number(const std::string& text) {
  return text.size() <= 18 &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
}

bool is_revision(const std::string& text) {
  return std::ranges::all_of(text,
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

base::result<void> validate(const print_options& o, const format& f, int newest) {
  if (auto valid = outbox::validate(o.names); !valid) return valid;
  const int to = o.to.value_or(newest);
  if (o.from < 1 || to > newest || o.from > to) {
    return refuse("versions " + std::to_string(o.from) + " to " + std::to_string(to) +
                  ": there are 1 to " + std::to_string(newest));
  }
  if (!is_number(o.number)) return refuse("a number has up to 18 digits and nothing else");
  if (!is_revision(o.after)) return refuse("a revision has letters, digits and underscores only");
  if (o.number.empty() == f.numbered) {
    return refuse("files of the format " + o.format +
                  (f.numbered ? " want a number" : " have no number"));
  }
  if (!o.after.empty() && o.format != "alembic")
    return refuse("only migrations of alembic name the one before");
  if (o.roles == print_roles::only && o.format != "sql")
    return refuse("roles and grants alone are printed as sql only");
  return {};
}

}  // namespace

const std::vector<std::string>& print_formats() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& f : formats) all.emplace_back(f.name);
    return all;
  }();
  return names;
}

bool is_numbered(std::string_view name) {
  const auto* const found = std::ranges::find(formats, name, &format::name);
  return found != formats.end() && found->numbered;
}

base::result<std::vector<printed_file>> print(const print_options& o, migration_files files) {
  const auto* const found = std::ranges::find(formats, o.format, &format::name);
  if (found == formats.end()) return refuse("there is no format " + o.format);
  const int newest = files.back().version;
  if (auto valid = validate(o, *found, newest); !valid) return valid.error();

  steps all;
  if (o.roles != print_roles::only) {
    for (const auto& m : files) {
      if (m.version >= o.from && m.version <= o.to.value_or(newest)) all.push_back(step_of(m, o));
    }
  }
  // Of an older version there is nobody left who knows the grants.
  if (o.roles == print_roles::only) {
    all.emplace_back().up = fill_in(all_roles(), o.names);
  } else if (o.roles == print_roles::with && o.to.value_or(newest) == newest) {
    all.back().up += "\n" + fill_in(all_roles(), o.names);
  }
  return found->write(all);
}

}  // namespace outboxd::outbox
