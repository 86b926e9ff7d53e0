// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>

#include "daemons/gpuhostctl/verbs.h"

namespace gpuhost::gpuhostctl {
namespace {

// Calls `visit` with each verb and the words that lead to it: "", " cc", " cc set".
void Walk(const Verb& verb, const std::string& path,
          const std::function<void(const std::string&, const Verb&)>& visit) {
  visit(path, verb);
  for (const Verb& next : verb.verbs) Walk(next, path + " " + next.name, visit);
}

std::string WordsAfter(const Verb& verb) {
  std::vector<std::string> words = verb.words;
  for (const Verb& next : verb.verbs) words.push_back(next.name);
  for (const Flag& flag : verb.flags)
    words.insert(words.end(), flag.names.begin(), flag.names.end());
  return fmt::format("{}", fmt::join(words, " "));
}

// A command that prints the flags of the program that a verb's words are passed on to.
std::string AskForFlags(const std::string& program, const std::string& path) {
  return fmt::format("{}{} --help 2>/dev/null | grep -oE -e '--[a-z][a-z-]*' | sort -u", program,
                     path);
}

// The part that bash and zsh share: sets $words_after for the verbs in $verbs.
std::string Cases(const Verb& program) {
  std::string text = "  case \"$verbs\" in\n";
  Walk(program, "", [&](const std::string& path, const Verb& verb) {
    text += fmt::format(
        "    \"{}\") words_after=\"{}\" ;;\n", path,
        verb.passes_on ? fmt::format("$({})", AskForFlags(program.name, path)) : WordsAfter(verb));
  });
  return text + "    *) words_after= ;;\n  esac\n";
}

std::string Bash(const Verb& program) {
  return fmt::format(R"(_{0}() {{
  local verbs= word words_after
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in -*) ;; *) verbs="$verbs $word" ;; esac
  done
{1}  COMPREPLY=($(compgen -W "$words_after" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -F _{0} {0}
)",
                     program.name, Cases(program));
}

std::string Zsh(const Verb& program) {
  return fmt::format(R"(#compdef {0}
_{0}() {{
  local verbs= word words_after
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case $word in -*) ;; *) verbs="$verbs $word" ;; esac
  done
{1}  compadd -- ${{=words_after}}
}}
if [ "$funcstack[1]" = "_{0}" ]; then _{0} "$@"; else compdef _{0} {0}; fi
)",
                     program.name, Cases(program));
}

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("\\'") : std::string(1, c);
  return quoted + "'";
}

std::string Fish(const Verb& program) {
  std::string text = fmt::format("complete -c {} -f\n", program.name);
  Walk(program, "", [&](const std::string& path, const Verb& verb) {
    // True once all words of the path are there and none of the verbs that follow.
    std::string when = path.empty() ? "__fish_use_subcommand" : "";
    for (size_t start = 1; start < path.size();) {
      const size_t end = std::min(path.find(' ', start), path.size());
      when += fmt::format("{}__fish_seen_subcommand_from {}", when.empty() ? "" : "; and ",
                          path.substr(start, end - start));
      start = end + 1;
    }
    if (!path.empty()) {
      for (const Verb& next : verb.verbs) {
        when += fmt::format("; and not __fish_seen_subcommand_from {}", next.name);
      }
    }
    const std::string head = fmt::format("complete -c {} -n '{}'", program.name, when);
    for (const Verb& next : verb.verbs) {
      text += fmt::format("{} -a {} -d {}\n", head, next.name, Quoted(next.help));
    }
    if (verb.passes_on) {
      text += fmt::format("{} -a \"({})\"\n", head, AskForFlags(program.name, path));
    }
    for (const std::string& word : verb.words) text += fmt::format("{} -a {}\n", head, word);
    for (const Flag& flag : verb.flags) {
      std::string names;
      for (const std::string& name : flag.names) {
        names += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      text += fmt::format("{}{}{} -d {}\n", head, names, flag.value.empty() ? "" : " -r",
                          Quoted(flag.help));
    }
  });
  return text;
}

}  // namespace

std::string Completion(const Verb& program, const std::string& shell) {
  if (shell == "zsh") return Zsh(program);
  return shell == "fish" ? Fish(program) : Bash(program);
}

}  // namespace gpuhost::gpuhostctl
