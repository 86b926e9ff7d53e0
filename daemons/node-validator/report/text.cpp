// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/report/text.h"

#include <fmt/format.h>

#include <algorithm>

#include "daemons/node-validator/checks/catalogue.h"
#include "daemons/node-validator/report/paint.h"

namespace gpuhost::node_validator {
namespace {

constexpr size_t kWidest = 100;  // longer lines are hard to read
constexpr size_t kId = 15;

struct Mark {
  std::string_view sign;
  Colour colour;
};

Mark MarkOf(const Line& line) {
  switch (line.finding.state) {
    case State::kPass:
      return {"✔", Colour::kGreen};
    case State::kUnknown:
      return {"?", Colour::kCyan};
    case State::kSkipped:
      return {"-", Colour::kDim};
    case State::kFail:
      break;
  }
  if (line.severity == Severity::kFatal) return {"✘", Colour::kRed};
  return line.severity == Severity::kDegraded ? Mark{"!", Colour::kYellow}
                                              : Mark{"i", Colour::kCyan};
}

std::string SubjectOf(const Line& line, bool several) {
  return several && !line.finding.subject.empty() ? line.finding.subject + ": " : "";
}

class Page {
 public:
  Page(const Report& report, const Style& style)
      : report_(report), style_(style), width_(std::clamp<size_t>(style.width, 40, kWidest)) {
    std::set<std::string> handlers;
    for (const Line& line : report.lines) handlers.insert(line.finding.subject);
    handlers.erase("");
    several_ = handlers.size() > 1;
  }

  std::string Render() {
    Head();
    std::string_view group;
    for (const Line& line : report_.lines) {
      if (line.group != group) Group(group = line.group);
      if (Shown(line)) One(line);
    }
    ToDo();
    Foot();
    return text_;
  }

 private:
  bool Shown(const Line& line) const {
    return style_.all || line.finding.state == State::kFail ||
           line.finding.state == State::kUnknown;
  }

  void Head() {
    const std::string what =
        report_.workload == Workload::kPassthrough ? "GPU pods in Kata, not confidential"
        : report_.technology.empty()               ? "confidential GPU pods"
                                     : "confidential GPU pods with " + report_.technology;
    text_ += fmt::format("{}: {}{}\n", Paint(style_.colour, Colour::kBold, Harmless(report_.node)),
                         what, report_.captured ? " (a captured node)" : "");
  }

  void Group(std::string_view group) {
    size_t passed = 0, asked = 0;
    for (const Line& line : report_.lines) {
      if (line.group != group || line.finding.state == State::kSkipped) continue;
      ++asked;
      passed += line.finding.state == State::kPass ? 1 : 0;
    }
    const bool fine = passed == asked;
    const std::string count =
        asked == 0 ? "not asked here" : fmt::format("{} of {} fine", passed, asked);
    const size_t gap = width_ - std::min(width_, Columns(group) + count.size());
    if (style_.all) text_ += "\n";
    text_ += Paint(style_.colour, Colour::kBold, group) + " ";
    text_ += Paint(style_.colour, Colour::kDim, Dots(gap > 2 ? gap - 2 : 1)) + " ";
    text_ += Paint(style_.colour,
                   asked == 0 ? Colour::kDim
                   : fine     ? Colour::kGreen
                              : Colour::kNone,
                   count);
    text_ += "\n";
  }

  static std::string Dots(size_t count) { return std::string(count, '.'); }

  void One(const Line& line) {
    const auto [sign, colour] = MarkOf(line);
    std::string seen = Harmless(SubjectOf(line, several_) + line.finding.observed);
    const std::string follows =
        line.follows.empty() ? "" : fmt::format(" (because of {})", line.follows);
    const bool dim = !line.follows.empty() || line.finding.state == State::kSkipped;
    const size_t room = width_ - kId - 4;
    // Failures are told whole below; what is unknown is told nowhere else.
    const bool brief = line.finding.state != State::kUnknown || dim;
    seen = brief ? Shorten(seen, room - std::min(room - 1, follows.size())) + follows
                 : Wrap(seen, kId + 4, width_);
    text_ += fmt::format("  {} {} {}\n", Paint(style_.colour, dim ? Colour::kDim : colour, sign),
                         Paint(style_.colour, dim ? Colour::kDim : Colour::kNone,
                               fmt::format("{:<{}}", line.check->id, kId - 1)),
                         Paint(style_.colour, dim ? Colour::kDim : Colour::kNone, seen));
  }

  void ToDo() {
    const auto causes = report_.Causes();
    if (causes.empty()) return;
    text_ += "\n" + Paint(style_.colour, Colour::kBold, "What to do") + "\n";
    size_t number = 0;
    for (const Line* line : causes) {
      const std::string_view title = line->check->title;
      const auto [sign, colour] = MarkOf(*line);
      const std::string label = fmt::format("{}. {}", ++number, line->check->id);
      const std::string head =
          fmt::format("{}; wanted: {}", ToString(line->severity), Lower(title));
      const size_t room = width_ - std::min(width_ / 2, label.size() + 5);
      text_ += fmt::format(
          "\n  {} {}\n", Paint(style_.colour, colour, fmt::format("{} {}", sign, label)),
          Paint(style_.colour, Colour::kDim, WrapAt(head, label.size() + 5, room)));
      Entry("found", Harmless(SubjectOf(*line, several_) + line->finding.observed));
      Entry("expected", std::string(line->expected()));
      Entry("do", std::string(line->remedy()), Colour::kBold);
      if (!line->finding.evidence.empty()) Entry("look at", Harmless(line->finding.evidence));
    }
    if (const size_t more = report_.Consequences(); more > 0) {
      text_ += fmt::format(
          "\n  {}\n", Wrap(fmt::format("{} more {} from these; look again when they are done.",
                                       more, more == 1 ? "finding follows" : "findings follow"),
                           2, width_));
    }
  }

  // Wrapped with its first line `used` columns in, and the others below the entries.
  static std::string WrapAt(const std::string& text, size_t used, size_t room) {
    const size_t indent = 5;
    std::string wrapped = Wrap(text, used, used + room);
    const std::string blanks = "\n" + std::string(used, ' ');
    for (size_t at = wrapped.find(blanks); at != std::string::npos;
         at = wrapped.find(blanks, at + 1)) {
      wrapped.replace(at, blanks.size(), "\n" + std::string(indent, ' '));
    }
    return wrapped;
  }

  // A sentence's beginning in the middle of a line, unless it is a name.
  static std::string Lower(std::string_view title) {
    std::string text(title);
    if (text.size() > 1 && text[1] >= 'a' && text[1] <= 'z' && text[0] >= 'A' && text[0] <= 'Z' &&
        !text.starts_with("PCIe") && !text.starts_with("Kata") && !text.starts_with("Kubernetes")) {
      text[0] = static_cast<char>(text[0] - 'A' + 'a');
    }
    return text;
  }

  void Entry(std::string_view name, const std::string& value, Colour colour = Colour::kNone) {
    constexpr size_t kIndent = 15;
    std::string wrapped = Wrap(value, kIndent, width_);
    text_ +=
        fmt::format("     {} {}\n", Paint(style_.colour, Colour::kDim, fmt::format("{:<9}", name)),
                    Paint(style_.colour, colour, wrapped));
  }

  void Foot() {
    size_t fatal = 0, degraded = 0, info = 0;
    for (const Line* line : report_.Causes()) {
      fatal += line->severity == Severity::kFatal ? 1 : 0;
      degraded += line->severity == Severity::kDegraded ? 1 : 0;
      info += line->severity == Severity::kInfo ? 1 : 0;
    }
    std::string counts = fmt::format("{} fine", report_.Count(State::kPass));
    const auto add = [&counts](size_t count, std::string_view what) {
      if (count > 0) counts += fmt::format(", {} {}", count, what);
    };
    add(fatal, "fatal");
    add(degraded, "degraded");
    add(info, "to know");
    add(report_.Consequences(), "in consequence");
    add(report_.Count(State::kUnknown), "unknown");
    add(report_.Count(State::kSkipped), "not asked");
    const Verdict verdict = VerdictOf(report_);
    const std::string_view word = verdict == Verdict::kReady      ? "Ready"
                                  : verdict == Verdict::kNotReady ? "Not ready"
                                                                  : "Ready, with reservations";
    const Colour colour = verdict == Verdict::kReady      ? Colour::kGreen
                          : verdict == Verdict::kNotReady ? Colour::kRed
                                                          : Colour::kYellow;
    text_ += fmt::format("\n{} {}\n", Paint(style_.colour, colour, fmt::format("{}:", word)),
                         Wrap(counts + ".", 0, width_ - word.size() - 2));
    if (!report_.superuser) {
      text_ +=
          Wrap("Some things only root may see; run it as root to have them checked.", 0, width_) +
          "\n";
    }
  }

  const Report& report_;
  const Style style_;
  const size_t width_;
  bool several_ = false;
  std::string text_;
};

}  // namespace

std::string RenderText(const Report& report, const Style& style) {
  return Page(report, style).Render();
}

std::string RenderList(const Style& style) {
  std::string text;
  for (const Group& group : Catalogue()) {
    text += (text.empty() ? "" : "\n") + Paint(style.colour, Colour::kBold, group.title) + "\n";
    for (const Check& check : group.checks) {
      text += fmt::format("  {:<{}} {:<8}  {}\n", check.id, kId - 1, ToString(check.severity),
                          check.title);
    }
  }
  return text;
}

std::string RenderExplanation(const Check& check, const Style& style) {
  const size_t width = std::clamp<size_t>(style.width, 40, kWidest);
  std::string text =
      fmt::format("{}  {}\n", Paint(style.colour, Colour::kBold, check.id), check.title);
  const auto entry = [&](std::string_view name, std::string_view value) {
    text += fmt::format("  {} {}\n", Paint(style.colour, Colour::kDim, fmt::format("{:<9}", name)),
                        Wrap(value, 12, width));
  };
  entry("failure", check.severity == Severity::kFatal ? "fatal: no confidential GPU pod starts"
                   : check.severity == Severity::kDegraded
                       ? "degraded: it may start, and go wrong later"
                       : "to know");
  entry("expected", check.expected);
  entry("why", check.why);
  entry("do", check.remedy);
  if (check.after.empty()) return text;
  std::string causes;
  for (const std::string_view id : check.after)
    causes += fmt::format("{}{}", causes.empty() ? "" : ", ", id);
  entry("after", causes + ": when one of these failed, that is the cause");
  return text;
}

}  // namespace gpuhost::node_validator
