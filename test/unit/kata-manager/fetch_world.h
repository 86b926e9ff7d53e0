// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemons/common/kube/curl_client.h"
#include "daemons/kata-manager/artifacts/fetch.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"
#include "test/registry/scripted_registry.h"

namespace gpuhost::kata_manager::artifacts::test {

inline constexpr const char* kArtifacts = "/art";
inline const std::string kImage(200'000, 'i');
inline const std::string kToml =
    "[hypervisor.qemu]\nkernel = \"/opt/kata/vmlinuz\"\nimage = \"/opt/kata/kata.image\"\n";

// A node that fetches by libcurl from a registry on this machine.
struct World {
  World() { Reset(); }
  // Another process.
  void Reset() {
    fetcher.emplace(
        kernel,
        RegistryDeps{.http = http,
                     .clock = clock,
                     .stopping = [this] { return stop; },
                     .waiting = [](Duration, const absl::Status&) {},
                     .progress =
                         [this](uint64_t arrived, uint64_t) {
                           if (on_progress) on_progress(arrived);
                         }},
        [this](const std::string& name) -> absl::StatusOr<std::string> {
          const auto found = secrets.find(name);
          if (found == secrets.end()) return absl::NotFoundError("no secret " + name);
          return found->second;
        },
        [this](const std::string&) { return space; });
  }
  RuntimeClass Class(const std::string& version) {
    RuntimeClass entry{.name = "kata-x"};
    entry.artifacts.url = server.host() + "/kata/gpu" + version;
    entry.artifacts.pull_secrets = pull_secrets;
    return entry;
  }
  absl::StatusOr<Recipe> Fetch(const RuntimeClass& entry) {
    root.File("/ca.pem", server.ca_pem() + elsewhere.ca_pem());
    config.registry_ca = "/ca.pem";
    return fetcher->Fetch(entry, config, kArtifacts);
  }
  absl::StatusOr<Recipe> Fetch() { return Fetch(Class("@" + digest)); }
  absl::Status Status() { return Fetch().status(); }
  size_t Partials() {
    return kernel.List("/art/cas/partial").value_or(std::vector<std::string>()).size();
  }
  std::string ImagePath() { return "blobs/sha256:" + Sha256Of(kImage); }

  registry::ScriptedRegistry server, elsewhere;
  std::string digest = server.AddArtifact(
      {{"configuration-gpu.toml", kToml}, {"kata.image", kImage}, {"vmlinuz", "kernel"}});
  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  kube::CurlClient http;
  std::map<std::string, std::string> secrets;
  std::vector<std::string> pull_secrets;
  Space space{uint64_t{1} << 40, uint64_t{1} << 40};
  bool stop = false;
  std::function<void(uint64_t)> on_progress;
  Config config;
  std::optional<Fetcher> fetcher;
};

}  // namespace gpuhost::kata_manager::artifacts::test
