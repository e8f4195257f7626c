#include "service/completions.hpp"

#include <string_view>
#include <vector>

#include "service/cli.hpp"

// All three walk over the words before the cursor: $verb is the verb so far, such as "dead list".
// Then either the word before wants a value, or verbs, values by their place and options are
// offered.
namespace outboxd::service {
namespace {

using words = std::vector<std::string>;

std::string joined(const words& all, std::string_view separator) {
  std::string out;
  for (const auto& word : all) {
    if (!out.empty()) out += separator;
    out += word;
  }
  return out;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

// For bash and zsh; fish writes \' inside of quotes.
std::string shell_quoted(const std::string& text) {
  return "'" + replaced(text, "'", "'\\''") + "'";
}
std::string fish_quoted(const std::string& text) {
  return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
}

// The root, as "", and every verb below it.
void each_place(const cli_verb& root, const verb_visitor& visit) {
  visit("", root);
  each_verb(root, visit);
}

// What "$verb $word" is when the word leads to another verb.
words steps(const cli_verb& root, std::string (*quote)(const std::string&)) {
  words out;
  each_verb(root, [&](const std::string& path, const cli_verb&) {
    out.push_back(quote(path.find(' ') == std::string::npos ? " " + path : path));
  });
  return out;
}

// What may stand at a place because of its position: verbs, and values without an option.
words by_position(const cli_verb& verb) {
  words out;
  for (const auto& child : verb.verbs) out.push_back(child.name);
  for (const auto& option : verb.options) {
    if (option.names.empty()) out.insert(out.end(), option.choices.begin(), option.choices.end());
  }
  return out;
}

// Options of the root are understood behind every verb.
template <typename Visit>
void each_option(const cli_verb& verb, const cli_verb& root, Visit visit) {
  for (const auto& option : verb.options) visit(option);
  if (&verb == &root) return;
  for (const auto& option : root.options) visit(option);
}

// What "$verb $before" is when the word before is this option.
words value_patterns(const std::string& path, const cli_option& option) {
  words out;
  if (option.value.empty()) return out;
  for (const auto& name : option.names) {
    std::string text = path;
    text += " ";
    text += name;
    out.push_back((path.empty() ? "*" : "") + shell_quoted(text));
  }
  return out;
}

// Lines of `case "$verb $before"`: one for each option with known values, one for all where nobody
// knows what is wanted.
template <typename Offer>
std::string value_cases(const cli_verb& root, Offer offer, const std::string& nothing) {
  const auto line = [](const words& patterns, const std::string& body) {
    return "    " + joined(patterns, " | ") + ") " + body + " ;;\n";
  };
  std::string out;
  words unknown;
  each_place(root, [&](const std::string& path, const cli_verb& verb) {
    for (const auto& option : verb.options) {
      const auto patterns = value_patterns(path, option);
      if (patterns.empty()) continue;
      if (option.choices.empty())
        unknown.insert(unknown.end(), patterns.begin(), patterns.end());
      else
        out += line(patterns, offer(joined(option.choices, " ")));
    }
  });
  return unknown.empty() ? out : out + line(unknown, nothing);
}

constexpr std::string_view bash_script =
    R"(# Completion of outboxd's command line; printed by: outboxd config --reference bash
_outboxd() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb='' words='' i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$verb ${COMP_WORDS[i]}" in
    @STEPS@) verb=${verb:+$verb }${COMP_WORDS[i]} ;;
    esac
  done
  # Of --name=value bash makes three words.
  if [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi
  if [[ $word == = ]]; then word=''; fi
  case "$verb $before" in
@VALUES@    *)
      case $verb in
@OFFERS@      esac
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _outboxd outboxd
)";

constexpr std::string_view zsh_script = R"(#compdef outboxd
# Completion of outboxd's command line; printed by: outboxd config --reference zsh
_outboxd() {
  local verb='' i
  local -a verbs options
  for ((i = 2; i < CURRENT; ++i)); do
    case "$verb $words[i]" in
    @STEPS@) verb="${verb:+$verb }$words[i]" ;;
    esac
  done
  case "$verb $words[CURRENT-1]" in
@VALUES@  esac
  case $verb in
@OFFERS@  esac
  _describe -t verbs verb verbs
  _describe -o -t options option options
}
_outboxd "$@"
)";

constexpr std::string_view fish_script =
    R"(# Completion of outboxd's command line; printed by: outboxd config --reference fish
function __outboxd_at
    set -l verb ''
    for word in (commandline -opc)[2..]
        switch "$verb $word"
            case @STEPS@
                set verb (string trim "$verb $word")
        end
    end
    test "$verb" = "$argv"
end
complete -c outboxd -f
)";

std::string filled(std::string_view script, const std::string& steps, const std::string& values,
                   const std::string& offers) {
  auto text = replaced(std::string(script), "@STEPS@", steps);
  return replaced(replaced(text, "@VALUES@", values), "@OFFERS@", offers);
}

// Of zsh's _describe.
std::string described(const std::string& name, const std::string& sentence) {
  return " " + shell_quoted(name + ":" + sentence);
}

std::string zsh_offer(const std::string& path, const cli_verb& verb, const cli_verb& root) {
  std::string out = "    " + shell_quoted(path) + ") verbs=(";
  for (const auto& child : verb.verbs) out += described(child.name, child.sentence);
  for (const auto& option : verb.options) {
    if (!option.names.empty()) continue;
    for (const auto& choice : option.choices) out += " " + shell_quoted(choice);
  }
  out += " ) options=(";
  each_option(verb, root, [&](const cli_option& option) {
    for (const auto& name : option.names) out += described(name, option.sentence);
  });
  return out + " ) ;;\n";
}

// `complete` for one option, behind a condition that may be empty.
std::string fish_option(const std::string& condition, const cli_option& option) {
  std::string out = "complete -c outboxd" + condition;
  for (const auto& name : option.names)
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.value.empty()) out += " -x";
  if (!option.choices.empty()) out += " -a " + fish_quoted(joined(option.choices, " "));
  return out + " -d " + fish_quoted(option.sentence) + "\n";
}

}  // namespace

std::string bash_completion() {
  const auto root = command_tree();
  std::string offers;
  each_place(root, [&](const std::string& path, const cli_verb& verb) {
    words all = by_position(verb);
    each_option(verb, root, [&](const cli_option& option) {
      all.insert(all.end(), option.names.begin(), option.names.end());
    });
    offers +=
        "        " + shell_quoted(path) + ") words=" + shell_quoted(joined(all, " ")) + " ;;\n";
  });
  const auto values = value_cases(
      root, [](const std::string& choices) { return "words=" + shell_quoted(choices); }, ":");
  return filled(bash_script, joined(steps(root, shell_quoted), " | "), values, offers);
}

std::string zsh_completion() {
  const auto root = command_tree();
  std::string offers;
  each_place(root, [&](const std::string& path, const cli_verb& verb) {
    offers += zsh_offer(path, verb, root);
  });
  const auto values = value_cases(
      root, [](const std::string& choices) { return "compadd " + choices + "; return"; },
      "return 1");
  return filled(zsh_script, joined(steps(root, shell_quoted), " | "), values, offers);
}

std::string fish_completion() {
  const auto root = command_tree();
  auto out = filled(fish_script, joined(steps(root, fish_quoted), " "), "", "");
  each_place(root, [&](const std::string& path, const cli_verb& verb) {
    const std::string at = " -n " + fish_quoted("__outboxd_at " + fish_quoted(path));
    for (const auto& child : verb.verbs) {
      out += "complete -c outboxd" + at + " -a " + child.name + " -d " +
             fish_quoted(child.sentence) + "\n";
    }
    for (const auto& option : verb.options) {
      const bool everywhere = path.empty() && !option.names.empty();
      const bool offers = !option.names.empty() || !option.choices.empty();
      if (offers) out += fish_option(everywhere ? "" : at, option);
    }
  });
  return out;
}

}  // namespace outboxd::service
