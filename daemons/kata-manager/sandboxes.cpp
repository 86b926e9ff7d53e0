// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/sandboxes.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <sstream>

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

// Whether the text of a file, however long, has `what` in it; unreadable: nobody knows.
std::optional<bool> Has(const HostFs& fs, const std::string& path, const std::string& what) {
  const auto fd = fs.Open(path, O_RDONLY);
  if (!fd.ok()) return absl::IsNotFound(fd.status()) ? std::optional<bool>(false) : std::nullopt;
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (true) {
    const ssize_t got = ::read(fd->get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == ESRCH ? std::optional<bool>(false) : std::nullopt;
    if (got == 0) return false;
    text.append(buffer.data(), static_cast<size_t>(got));
    if (text.find(what) != std::string::npos) return true;
    if (text.size() > what.size()) text.erase(0, text.size() - what.size());
  }
}

std::optional<bool> HasOpen(const HostFs& fs, const std::string& pid, const std::string& below) {
  const std::string directory = fmt::format("/proc/{}/fd", pid);
  const auto names = fs.List(directory);
  if (!names.ok())
    return absl::IsNotFound(names.status()) ? std::optional<bool>(false) : std::nullopt;
  for (const std::string& fd : *names) {
    const auto target = fs.ReadLink(fmt::format("{}/{}", directory, fd));
    if (target.ok() && target->starts_with(below)) return true;
    if (!target.ok() && !absl::IsNotFound(target.status())) return std::nullopt;
  }
  return false;
}

// Guests that run without root's rights are children of their shim.
bool IsGuestOfShim(const HostFs& fs, const std::string& pid) {
  std::istringstream lines(fs.Read(fmt::format("/proc/{}/status", pid)).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("PPid:")) continue;
    const size_t at = line.find_first_of("0123456789");
    const std::string parent = at == std::string::npos ? "" : line.substr(at);
    return !parent.empty() && ProgramOf(fs, parent) == kShim &&
           OwnerOf(fs, parent) != Owner::kOther;
  }
  return false;
}

}  // namespace

std::vector<std::string> SandboxesOf(const HostFs& fs, const std::vector<std::string>& handlers) {
  std::vector<std::string> ids;
  if (handlers.empty()) return ids;
  for (const std::string& pid : ProcessIds(fs)) {
    if (ProgramOf(fs, pid) != kShim) continue;
    const Owner owner = OwnerOf(fs, pid);
    if (owner == Owner::kOther || owner == Owner::kGone) continue;
    const auto words = ArgumentsOf(fs, pid);
    const auto flag = std::ranges::find(words, "-id");
    if (words.empty() || flag == words.end() || flag + 1 == words.end()) {
      if (words.empty()) ids.push_back("process " + pid);
      continue;  // its other modes, as `-v`, have no sandbox
    }
    const std::string& id = *(flag + 1);
    if (MayHave(BundleOf(fs, id), handlers)) ids.push_back(id);
  }
  return ids;
}

bool IsInUse(const HostFs& fs, const std::string& directory) {
  const std::string self = std::to_string(::getpid()), below = directory + "/";
  return std::ranges::any_of(ProcessIds(fs), [&](const std::string& pid) {
    if (pid == self) return false;
    const Owner owner = OwnerOf(fs, pid);
    if (owner == Owner::kGone || (owner == Owner::kOther && !IsGuestOfShim(fs, pid))) return false;
    const std::string base = "/proc/" + pid;
    return Has(fs, base + "/cmdline", below).value_or(true) ||
           Has(fs, base + "/maps", below).value_or(true) || HasOpen(fs, pid, below).value_or(true);
  });
}

}  // namespace gpuhost::kata_manager
