// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/sandboxes.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "daemons/kata-manager/processes.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr const char* kShim = "containerd-shim-kata-v2";
constexpr const char* kHandlerKey = "\"io.containerd.cri.runtime-handler\"";
constexpr std::array kStates = {"/run/containerd", "/run/k3s/containerd", "/run/k0s/containerd",
                                "/var/snap/microk8s/common/run"};

// What containerd was told to start for the sandbox.
std::string BundleOf(const HostFs& fs, const std::string& id) {
  for (const char* state : kStates) {
    const auto text =
        fs.Read(fmt::format("{}/io.containerd.runtime.v2.task/k8s.io/{}/config.json", state, id));
    if (text.ok()) return *text;
  }
  return "";
}

bool MayHave(const std::string& bundle, const std::vector<std::string>& handlers) {
  const size_t at = bundle.find(kHandlerKey);
  if (at == std::string::npos) return true;
  const size_t begin = bundle.find('"', at + std::string_view(kHandlerKey).size());
  const size_t end = bundle.find('"', begin + 1);
  if (begin == std::string::npos || end == std::string::npos) return true;
  return std::ranges::find(handlers, bundle.substr(begin + 1, end - begin - 1)) != handlers.end();
}

}  // namespace

std::vector<std::string> SandboxesOf(const HostFs& fs, const std::vector<std::string>& handlers) {
  std::vector<std::string> ids;
  if (handlers.empty()) return ids;
  for (const std::string& pid : ProcessIds(fs)) {
    const auto words = ArgumentsOf(fs, pid);
    if (words.empty() || words[0].substr(words[0].rfind('/') + 1) != kShim) continue;
    const auto flag = std::ranges::find(words, "-id");
    if (flag == words.end() || flag + 1 == words.end()) continue;
    const std::string& id = *(flag + 1);
    if (MayHave(BundleOf(fs, id), handlers)) ids.push_back(id);
  }
  return ids;
}

bool IsInUse(const HostFs& fs, const std::string& directory) {
  const std::string self = std::to_string(::getpid());
  for (const std::string& pid : ProcessIds(fs)) {
    if (pid == self) continue;
    const std::string base = "/proc/" + pid;
    for (const char* file : {"/cmdline", "/maps"}) {
      if (fs.Read(base + file).value_or("").find(directory + "/") != std::string::npos) return true;
    }
    for (const std::string& fd : fs.List(base + "/fd").value_or(std::vector<std::string>())) {
      const auto target = fs.ReadLink(fmt::format("{}/fd/{}", base, fd));
      if (target.ok() && target->starts_with(directory + "/")) return true;
    }
  }
  return false;
}

}  // namespace gpuhost::kata_manager
