// SPDX-License-Identifier: Apache-2.0
#include "test/unit/kata-manager/kata_node.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "libgpuhost/base/command.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

absl::StatusOr<std::string> Run(const std::string& program, std::vector<std::string> arguments) {
  return OutputOf(std::chrono::seconds(60), {.path = program, .arguments = std::move(arguments)});
}

std::string VersionOf(const std::string& program) {
  static std::map<std::string, std::string> known;
  std::string& version = known[program];
  if (version.empty()) version = Run(program, {"--version"}).value_or("");
  return version;
}

std::string Replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

}  // namespace

std::vector<std::string> RealContainerds() {
  namespace fs = std::filesystem;
  std::vector<std::string> programs;
  if (fs::exists("/usr/bin/containerd")) programs.push_back("/usr/bin/containerd");
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path built =
      (cache != nullptr ? fs::path(cache) : fs::path(home ? home : "/root") / ".cache") /
      "gpuhost/kubernetes";
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(built, ignored)) {
    const bool is_containerd = entry.path().filename().string().starts_with("containerd-");
    if (is_containerd && fs::exists(entry.path() / "complete")) {
      programs.push_back((entry.path() / "containerd").string());
    }
  }
  std::sort(programs.begin(), programs.end());
  REQUIRE_FALSE(programs.empty());
  return programs;
}

absl::StatusOr<std::string> RealDump(const std::string& program, const std::string& main) {
  return Run(program, {"-c", main, "config", "dump"});
}

absl::StatusOr<Unit> FakeServices::Look(const std::string& wanted) {
  const auto other = others.find(wanted);
  if (other != others.end()) return other->second;
  if (wanted != name) return absl::NotFoundError("no such unit");
  if (crash_loop) ++unit.restarts;
  Unit found = unit;
  if (found.state.empty()) found.state = found.active ? "active" : "inactive";
  return found;
}

absl::Status FakeServices::Restart(const std::string&, Duration) {
  ++count;
  absl::Status answer;
  if (!answers.empty()) {
    answer = answers.front();
    answers.erase(answers.begin());
  }
  if (answer.ok()) Start();
  return answer;
}

void FakeServices::Start() {
  unit.active_since = now + 1;
  now += 20;
  if (started) started();
}

KataNode::KataNode(std::string containerd) : program(std::move(containerd)) {
  root.File(kVendor,
            "[hypervisor.qemu]\npath = \"/opt/kata/bin/qemu\"\nkernel = \"/opt/kata/vmlinuz\"\n");
  root.File("/opt/kata/bin/containerd-shim-kata-v2", "");
  root.Directory("/etc/containerd");
  root.Directory("/sys/module/vhost_vsock");
  root.Directory("/sys/module/vhost_net");
  root.Directory("/sys/bus/pci/devices");
  root.File("/usr/bin/containerd", "");
  fake::AddInit(root);
  RunWith({"/usr/bin/containerd"});
  services.started = [this] { running = Handlers(); };
  options.artifacts_dir = "/var/lib/gpuhost/kata";
  options.config_path = "/etc/gpuhost/kata-manager.yaml";
}

void KataNode::RunWith(const std::vector<std::string>& command) {
  fake::AddProcess(
      root, {.pid = 900, .exe = root.Of("/usr/bin/containerd").string(), .arguments = command});
}

void KataNode::AddShim(int pid, const std::string& sandbox, const std::string& uids) {
  fake::AddProcess(root, {.pid = pid,
                          .comm = "containerd-shim",
                          .exe = "/opt/kata/bin/containerd-shim-kata-v2",
                          .arguments = {"/opt/kata/bin/containerd-shim-kata-v2", "-id", sandbox},
                          .cgroup = "0::/kubepods.slice/x.scope",
                          .uids = uids});
}

Deps KataNode::deps() {
  // The paths in the copies are those of the node.
  const auto dump = [this](const std::string& main) -> absl::StatusOr<std::string> {
    std::string text = root.Content(main);
    for (const char* top : {"/etc/", "/var/"}) {
      text = Replaced(text, std::string("\"") + top, "\"" + root.path() + top);
    }
    root.File("/tmp/dump.toml", text);
    const auto said = RealDump(program, root.Of("/tmp/dump.toml").string());
    return said.ok() ? Replaced(*said, root.path(), "") : said;
  };
  return {.fs = kernel,
          .host = kernel,
          .clock = clock,
          .load_module =
              [this](const std::string& module) {
                loaded.push_back(module);
                return absl::OkStatus();
              },
          .restart = {services, clock, [this] { return services.now; },
                      [this](const std::string&) { return socket_answers; },
                      [this](const std::string&) -> absl::StatusOr<rpc::RuntimeHandlers> {
                        if (!services.unit.active || !socket_answers) {
                          return absl::UnavailableError("nobody answers");
                        }
                        return tells ? running : rpc::RuntimeHandlers();
                      },
                      [this](const std::string&) -> absl::StatusOr<rpc::RuntimeVersion> {
                        if (!services.unit.active) return absl::UnavailableError("nobody answers");
                        auto version = answers;
                        if (version.version.empty()) version.version = VersionOf(program);
                        return version;
                      },
                      [this] { return stopping; }},
          .find_program =
              [this, dump](const containerd::Location&) {
                return containerd::Program{[this] { return Run(program, {"--version"}); }, dump};
              },
          .fetch = [](const RuntimeClass&, const Config&) -> absl::StatusOr<Recipe> {
            return absl::UnavailableError("no registry here");
          },
          .drift = Drift(clock)};
}

Config KataNode::config(const std::string& yaml) {
  const auto parsed = ParseConfig("kata.yaml", yaml);
  INFO(Text(parsed.status()));
  REQUIRE(parsed.ok());
  return *parsed;
}

Report KataNode::Apply(const std::string& yaml) {
  Deps its = deps();
  return Pass(its, options, config(yaml));
}

std::set<std::string> KataNode::Handlers() {
  std::set<std::string> names;
  const auto dump = Dump();
  const auto prefix = dump.ok() ? containerd::HandlersIn(*dump) : dump.status();
  for (const auto& [key, value] : dump.value_or(Flat())) {
    if (!prefix.ok() || !key.starts_with(*prefix)) continue;
    const std::string rest = key.substr(prefix->size());
    names.insert(rest.substr(0, rest.find_first_of(".[")));
  }
  // Only its own program, started for good, would read conf.d without a main file.
  if (!root.Exists(kMain) && root.Exists(kOwn)) {
    for (const std::string& name : containerd::NamesIn(Content(kOwn))) names.insert(name);
  }
  names.erase(disliked);
  return names;
}

absl::StatusOr<Flat> KataNode::Dump() {
  std::string main = root.Of(kMain).string();
  if (!root.Exists(kMain)) {
    root.File("/tmp/none.toml", "version = 2\n");
    main = root.Of("/tmp/none.toml").string();
  }
  GPUHOST_ASSIGN(const std::string text, RealDump(program, main));
  GPUHOST_ASSIGN(Flat flat, Flatten("dump", text));
  std::erase_if(flat, [](const auto& entry) { return entry.first.starts_with("imports"); });
  return flat;
}

}  // namespace gpuhost::kata_manager
