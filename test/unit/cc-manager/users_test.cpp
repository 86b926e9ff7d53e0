// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/users.h"

#include <catch2/catch.hpp>

using namespace gpuhost;
using namespace gpuhost::cc_manager;

namespace {

kube::Pod PodWith(const std::string& name, uint64_t gpus, const std::string& phase = "Running") {
  return {
      .name = name, .name_space = "default", .phase = phase, .gpus = {{"nvidia.com/pgpu", gpus}}};
}

}  // namespace

TEST_CASE("pods that ask for GPUs and have not ended are users, Pending ones too") {
  const std::vector<kube::Pod> pods{PodWith("llm", 1), PodWith("starts", 2, "Pending"),
                                    PodWith("done", 1, "Succeeded"), PodWith("dead", 1, "Failed"),
                                    PodWith("other", 0)};
  const Users users = FindUsers({}, std::nullopt, pods);
  CHECK(users.text == "in use by pod default/llm, pod default/starts");
  CHECK(users.pods.size() == 2);
}

TEST_CASE("operands of the GPU Operator are no users") {
  kube::Pod plugin = PodWith("plugin", 1);
  plugin.labels = {{"app", "nvidia-sandbox-device-plugin-daemonset"}};
  CHECK(FindUsers({}, std::nullopt, std::vector{plugin}).text.empty());
}

TEST_CASE("the plugin and the API server speak of the same pod once") {
  service::StatusDocument plugin;
  plugin.devices = {{.bdf = "0000:01:00.0", .users = {{"default/llm/main", "default/llm/side"}}},
                    {.bdf = "0000:02:00.0", .users = {{"team/b/main", "somebody"}}}};
  const Users users = FindUsers({}, plugin, std::vector{PodWith("llm", 1)});
  CHECK(users.text == "in use by pod default/llm, pod team/b, somebody");
  CHECK(users.pods.size() == 1);
}

TEST_CASE("processes that have a device open are users, unless it is in the mode already") {
  const std::vector<DeviceView> devices{
      {.in_use_by = "qemu (pid 7)"}, {}, {.in_use_by = "other (pid 8)", .settled = true}};
  CHECK(FindUsers(devices, std::nullopt, {}).text == "0000:00:00.0: in use by qemu (pid 7)");
}
