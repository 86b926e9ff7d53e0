// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/rivals.h"

#include <optional>

#include "daemons/kata-manager/processes.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

struct Rival {
  const char* name;
  std::vector<const char*> programs;
  const char* mark;  // in names of files that it leaves; empty: none
  bool writes_cdi;   // files of CDI, or those of container runtimes
};

const std::vector<Rival>& Known() {
  static const std::vector<Rival> kKnown = {
      {"kata-deploy", {"kata-deploy"}, "kata-deploy", false},
      {"NVIDIA's container toolkit",
       {"nvidia-toolkit", "nvidia-ctk-installer", "nvidia-ctk"},
       "99-nvidia",
       false},
      {"NVIDIA's kata-manager", {"k8s-kata-manager"}, "", false},
      {"NVIDIA's kata-manager", {"k8s-kata-manager"}, "", true},
      {"NVIDIA's container toolkit", {"nvidia-ctk"}, "", true},
      {"NVIDIA's sandbox device plugin",
       {"nvidia-sandbox-device-plugin", "nvidia-kata-sandbox-device-plugin",
        "nvidia-kubevirt-gpu-device-plugin"},
       "",
       true}};
  return kKnown;
}

std::string Directory(const std::string& path) { return path.substr(0, path.rfind('/')); }

// A file with `mark` in its name beside `path`, one directory up, or in conf.d there.
std::optional<std::string> Trace(const HostFs& fs, const std::string& path,
                                 const std::string& mark) {
  const std::string here = Directory(path), above = Directory(here);
  for (const std::string& directory : {here, here + "/conf.d", above}) {
    for (const std::string& name : fs.List(directory).value_or(std::vector<std::string>())) {
      if (name.find(mark) != std::string::npos) return fmt::format("{}/{}", directory, name);
    }
  }
  return std::nullopt;
}

std::optional<std::string> Evidence(const HostFs& fs, const Rival& rival, const std::string& path) {
  for (const char* program : rival.programs) {
    if (IsRunning(fs, program)) return "it runs";
  }
  return *rival.mark == '\0' ? std::nullopt : Trace(fs, path, rival.mark);
}

}  // namespace

std::vector<std::string> RivalsFor(const HostFs& fs, const std::string& path) {
  const bool is_cdi = Directory(path).ends_with("/cdi");
  std::vector<std::string> rivals;
  for (const Rival& rival : Known()) {
    if (rival.writes_cdi != is_cdi) continue;
    const auto evidence = Evidence(fs, rival, path);
    if (evidence) rivals.push_back(fmt::format("{} ({})", rival.name, *evidence));
  }
  return rivals;
}

absl::Status GaveUp(const HostFs& fs, const std::string& path) {
  const auto rivals = RivalsFor(fs, path);
  const std::string who =
      rivals.empty() ? fmt::format("nobody known was found, auditctl -w {} -p wa tells", path)
                     : fmt::format("it may be {}", fmt::join(rivals, ", "));
  return Error(absl::StatusCode::kAborted,
               "somebody else changes it again and again, and it is left alone: {}; end that, "
               "then send SIGHUP",
               who);
}

}  // namespace gpuhost::kata_manager
