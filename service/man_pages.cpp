#include "service/man_pages.hpp"

#include <algorithm>
#include <string_view>

#include "service/cli.hpp"
#include "service/exit_code.hpp"
#include "service/settings_text.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

constexpr std::string_view name_and_description = R"(.SH NAME
outboxd \- relays a PostgreSQL outbox table to RabbitMQ
.SH SYNOPSIS
.B outboxd
.RI [ verb ]
.RI [ options ]
.SH DESCRIPTION
.B outboxd
publishes committed rows of the table
.I outbox.messages
to RabbitMQ, in the order of each key and at least once, and marks a row as sent when the broker has confirmed it.
Run as many as you like on one outbox: one leads and relays, the others stand by.
.PP
Results go to standard output, logs and complaints to standard error. Settings come from the environment only: see
.BR outboxd.env (5).
)";

constexpr std::string_view signals_and_files = R"(.SH SIGNALS
The first
.B SIGTERM
or
.B SIGINT
stops reading, waits for confirms up to
.BR OUTBOX_SHUTDOWN_TIMEOUT ,
writes the marks, closes the connections and gives the lead away. A second one does not wait any longer.
.PP
Verbs for many rows end between two statements, at
.B SIGHUP
too, and print the command that goes on.
.SH FILES
.TP
.I /etc/outboxd/NAME.env
Settings of the instance
.BR outboxd@NAME.service .
.TP
.I /usr/share/outboxd/outboxd.env
Every setting with its default, to copy from.
.TP
.I /usr/share/outboxd
The SQL of the schema, alerts for Prometheus, a dashboard for Grafana.
.SH SEE ALSO
.BR outboxd.env (5),
.BR systemctl (1),
.BR psql (1)
)";

constexpr std::string_view settings_introduction = R"(.SH NAME
outboxd.env \- settings of outboxd
.SH DESCRIPTION
.BR outboxd (1)
is configured by environment variables.
.B systemctl enable \-\-now outboxd@NAME
starts an instance with those of
.IR /etc/outboxd/NAME.env ,
a file of lines
.BR NAME=value ;
let only root read it, for it may hold passwords.
)";

constexpr std::string_view settings_see_also = R"(.SH SEE ALSO
.BR outboxd (1),
.BR systemd.exec (5)
)";

// A page of what is not a name: \ begins a request, and a hyphen that is typed stays one.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  // At the beginning of a line these two would begin a request; \& is nothing.
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string bold(std::string_view text) {
  return "\\fB" + roff(text) + "\\fR";
}

// `…` in bold.
std::string prose(std::string_view markdown) {
  std::string out;
  for (bool code = false;; code = !code) {
    const auto end = markdown.find('`');
    const auto part = markdown.substr(0, end);
    out += code ? bold(part) : roff(part);
    if (end == std::string_view::npos) return out;
    markdown.remove_prefix(end + 1);
  }
}

std::string sentence(std::string_view markdown) {
  return prose(markdown) + (markdown.ends_with('.') ? "\n" : ".\n");
}

std::string title(std::string_view name, int section, std::string_view manual) {
  return ".\\\" Printed by outboxd config \\-\\-reference; changes belong into its tables.\n.TH " +
         std::string(name) + " " + std::to_string(section) + " \"\" \"outboxd " +
         std::string(version()) + "\" \"" + std::string(manual) + "\"\n.nh\n.ad l\n";
}

std::string value_of(const cli_option& option) {
  if (option.choices.empty()) return "\\fI" + roff(option.value) + "\\fR";
  std::string out;
  for (const auto& choice : option.choices) out += (out.empty() ? "" : "|") + bold(choice);
  return out;
}

std::string entry(const cli_option& option) {
  std::string head;
  for (const auto& name : option.names) head += (head.empty() ? "" : ", ") + bold(name);
  if (!option.value.empty()) head += (head.empty() ? "" : " ") + value_of(option);
  return ".TP\n" + head + "\n" + sentence(option.sentence);
}

std::string entries(const cli_verb& verb) {
  std::string out;
  for (const auto& option : verb.options) out += entry(option);
  return out;
}

std::string verbs_section(const cli_verb& root) {
  std::string out = ".SH VERBS\n";
  each_verb(root, [&](const std::string& path, const cli_verb& verb) {
    out += ".TP\n" + bold(path) + "\n" + sentence(verb.sentence);
    if (!verb.options.empty()) out += ".RS\n" + entries(verb) + ".RE\n";
  });
  return out;
}

std::string exit_section() {
  std::string out = ".SH EXIT STATUS\n";
  for (const auto& row : exit_meanings()) {
    out +=
        ".TP\n" + bold(std::to_string(static_cast<int>(row.code))) + "\n" + sentence(row.sentence);
  }
  return out;
}

std::string entry(const setting& row) {
  std::string out = ".TP\n" + bold(row.name) + "\n" + prose(meaning(row)) + "\n";
  out += "Accepted: " + prose(accepted_forms(row, wording::brief)) + ".\n";
  if (const auto words = default_in_words(row); !words.empty())
    out += "Default: " + prose(words) + ".\n";
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
  return out;
}

}  // namespace

std::string man_page() {
  const auto root = command_tree();
  return title("OUTBOXD", 1, "User Commands") + std::string(name_and_description) +
         verbs_section(root) + ".SH OPTIONS\n" + entries(root) + exit_section() +
         std::string(signals_and_files);
}

std::string settings_man_page() {
  std::string out = title("OUTBOXD.ENV", 5, "File Formats") + std::string(settings_introduction);
  for (const auto rule : settings_rules()) out += ".IP \\(bu 2\n" + prose(rule) + "\n";
  std::string_view group;
  for (const auto& row : settings_table()) {
    if (row.group != group) {
      group = row.group;
      out += ".SH " + upper(group) + "\n";
    }
    out += entry(row);
  }
  return out + std::string(settings_see_also);
}

}  // namespace outboxd::service
