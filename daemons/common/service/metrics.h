// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace gpuhost::service {

// Numbers for Prometheus. Safe to use from many threads.
class Metrics {
 public:
  enum class Type { kCounter, kGauge };
  using Labels = std::vector<std::pair<std::string, std::string>>;

  // A family has to be described before it is used; without samples it is not shown.
  void Describe(const std::string& name, Type type, const std::string& help);
  void Set(const std::string& name, const Labels& labels, double value);
  void Add(const std::string& name, const Labels& labels, double delta = 1);
  // Forgets the samples of a family, before those of now are set.
  void Clear(const std::string& name);

  // Source: Prometheus text exposition format 0.0.4.
  std::string Render() const;

 private:
  struct Family {
    Type type;
    std::string help;
    std::map<std::string, double> samples;  // by labels as rendered
  };
  mutable std::mutex mutex_;
  std::map<std::string, Family> families_;
};

}  // namespace gpuhost::service
