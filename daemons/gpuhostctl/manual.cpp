// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "daemons/gpuhostctl/verbs.h"

namespace gpuhost::gpuhostctl {
namespace {

// A dash is a minus for who copies it, and a line must not begin with what troff takes for a macro.
std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  return escaped.starts_with('.') || escaped.starts_with('\'') ? "\\&" + escaped : escaped;
}

std::string Entry(const Flag& flag) {
  std::string head;
  for (const std::string& name : flag.names) {
    head += fmt::format("{}\\fB{}\\fR", head.empty() ? "" : ", ", Escaped(name));
  }
  if (!flag.value.empty()) head += " \\fI" + Escaped(flag.value) + "\\fR";
  return fmt::format(".TP\n{}\n{}\n", head, Escaped(flag.help));
}

std::string Section(const Verb& verb, const std::string& path) {
  std::string text;
  if (verb.verbs.empty()) {
    std::string arguments;
    for (const Flag& argument : verb.arguments) {
      arguments += fmt::format(" \\fI{}\\fR", Escaped(argument.names.front()));
    }
    text += fmt::format(".SS {}{}\n{}.\n", Escaped(path), arguments, Escaped(verb.help));
    for (const Flag& argument : verb.arguments) text += Entry(argument);
    for (const Flag& flag : verb.flags) {
      if (flag.names.back() != "--help") text += Entry(flag);
    }
  }
  for (const Verb& next : verb.verbs) text += Section(next, path + " " + next.name);
  return text;
}

}  // namespace

std::string ManualPage(const Verb& program, const std::string& version) {
  const std::string name = Escaped(program.name);
  std::string text = fmt::format(".TH {} 8 \"\" \"{}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n",
                                 program.name, version, name, Escaped(program.help), name);
  text += "\\fIverb\\fR [\\fIoption\\fR]...\n.SH VERBS\n";
  for (const Verb& verb : program.verbs) text += Section(verb, verb.name);
  text +=
      ".SH EXIT STATUS\n"
      ".TP\n0\nAll is done, or as it should be.\n"
      ".TP\n1\nThe command line is wrong; nothing was looked at.\n"
      ".TP\n3\nRefused, or failed for at least one device; the text says which and why.\n"
      ".TP\n4\nNot possible on this machine: no GPU, no IOMMU.\n"
      ".PP\n\\fBdoctor\\fR, \\fBcc set\\fR and \\fBvfio\\fR end as the programs do that they "
      "call.\n";
  return text;
}

}  // namespace gpuhost::gpuhostctl
