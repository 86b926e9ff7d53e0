// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/cluster.h"

#include <algorithm>
#include <array>
#include <utility>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {

ClusterFacts ObserveCluster(kube::Client& client, const std::string& node) {
  ClusterFacts facts;
  if (!node.empty()) facts.node = client.GetNode(node);
  facts.classes = client.ListRuntimeClasses();
  const auto version = client.ServerVersion();
  if (version.ok()) {
    facts.version = FindVersion(*version);
  } else {
    facts.version = version.status();
  }
  return facts;
}

std::optional<uint64_t> ParsePieces(std::string_view quantity) {
  constexpr auto kSuffixes =
      std::to_array<std::pair<std::string_view, uint64_t>>({{"Ki", 1u << 10},
                                                            {"Mi", 1u << 20},
                                                            {"Gi", 1u << 30},
                                                            {"k", 1000},
                                                            {"M", 1000000},
                                                            {"G", 1000000000}});
  const auto suffix = std::ranges::find_if(
      kSuffixes, [&](const auto& one) { return quantity.ends_with(one.first); });
  uint64_t factor = 1;
  if (suffix != kSuffixes.end()) {
    quantity.remove_suffix(suffix->first.size());
    factor = suffix->second;
  }
  const auto number = ParseDecimal(quantity, UINT64_MAX / factor);
  return number ? std::optional(*number * factor) : std::nullopt;
}

}  // namespace gpuhost::node_validator
