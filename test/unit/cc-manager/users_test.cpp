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
  const Users users = FindUsers({}, PluginWord(plugin), std::vector{PodWith("llm", 1)});
  CHECK(users.text == "in use by pod default/llm, pod team/b, somebody");
  CHECK(users.pods.size() == 1);
}

TEST_CASE("processes that have a device open are users, unless it is in the mode already") {
  const std::vector<DeviceView> devices{
      {.in_use_by = "qemu (pid 7)"}, {}, {.in_use_by = "other (pid 8)", .settled = true}};
  CHECK(FindUsers(devices, std::nullopt, std::vector<kube::Pod>()).text ==
        "0000:00:00.0: in use by qemu (pid 7)");
}

TEST_CASE("what the plugin cannot tell is unknown and not nobody") {
  const DeviceView changed{.bdf = *pci::Bdf::Parse("0000:01:00.0")};
  const DeviceView settled{.bdf = *pci::Bdf::Parse("0000:02:00.0"), .settled = true};
  service::StatusDocument plugin{.reason = "users are not known: Connection refused"};
  plugin.devices = {{.bdf = "0000:01:00.0", .unit = "a=1"}, {.bdf = "0000:02:00.0", .unit = "a=2"}};
  const std::vector<kube::Pod> none;

  const Users unknown = FindUsers(std::vector{changed, settled}, PluginWord(plugin), none);
  CHECK(unknown.text.empty());
  CHECK(unknown.unknown.find("0000:01:00.0") != std::string::npos);
  CHECK(unknown.unknown.find("0000:02:00.0") == std::string::npos);
  CHECK(unknown.unknown.find("Connection refused") != std::string::npos);
  plugin.devices = {{.bdf = "0000:02:00.0", .unit = "a=2"}, {.bdf = "0000:02:00.1", .unit = "a=2"}};
  CHECK(FindUsers(std::vector{changed, settled}, PluginWord(plugin), none).unknown.empty());

  const PluginWord unreadable = absl::StatusOr<service::StatusDocument>(absl::DataLossError("cut"));
  CHECK(FindUsers({}, unreadable, none).unknown.find("cut") != std::string::npos);
  CHECK(FindUsers({}, std::nullopt, absl::UnavailableError("away")).unknown.find("away") !=
        std::string::npos);
}

TEST_CASE("pods on devices that are in the mode already are no users") {
  const DeviceView changed{.bdf = *pci::Bdf::Parse("0000:01:00.0")};
  const DeviceView settled{.bdf = *pci::Bdf::Parse("0000:02:00.0"), .settled = true};
  service::StatusDocument plugin;
  plugin.devices = {{.bdf = "0000:01:00.0", .users = std::vector<std::string>(), .unit = "a=1"},
                    {.bdf = "0000:02:00.0", .users = {{"default/llm/main"}}, .unit = "a=2"}};
  const std::vector pods{PodWith("llm", 1), PodWith("other", 1)};
  const Users users = FindUsers(std::vector{changed, settled}, PluginWord(plugin), pods);
  CHECK(users.text == "in use by pod default/other");
  plugin.devices[0].users = {{"default/llm/main"}};
  CHECK(FindUsers(std::vector{changed, settled}, PluginWord(plugin), pods).pods.size() == 2);
}
