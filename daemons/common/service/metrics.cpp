// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/metrics.h"

#include <fmt/format.h>

namespace gpuhost::service {
namespace {

std::string Escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n')
      text += "\\n";
    else
      text += c;
  }
  return text;
}

std::string Rendered(const Metrics::Labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels) {
    text += fmt::format("{}{}=\"{}\"", text.empty() ? "{" : ",", key, Escaped(value));
  }
  return text.empty() ? text : text + "}";
}

}  // namespace

void Metrics::Describe(const std::string& name, Type type, const std::string& help) {
  const std::lock_guard lock(mutex_);
  families_[name] = {type, help, {}};
}

void Metrics::Set(const std::string& name, const Labels& labels, double value) {
  const std::lock_guard lock(mutex_);
  families_.at(name).samples[Rendered(labels)] = value;
}

void Metrics::Add(const std::string& name, const Labels& labels, double delta) {
  const std::lock_guard lock(mutex_);
  families_.at(name).samples[Rendered(labels)] += delta;
}

void Metrics::Clear(const std::string& name) {
  const std::lock_guard lock(mutex_);
  families_.at(name).samples.clear();
}

std::string Metrics::Render() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [name, family] : families_) {
    if (family.samples.empty()) continue;
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, family.help,
                        family.type == Type::kCounter ? "counter" : "gauge");
    for (const auto& [labels, value] : family.samples) {
      text += fmt::format("{}{} {}\n", name, labels, value);
    }
  }
  return text;
}

}  // namespace gpuhost::service
