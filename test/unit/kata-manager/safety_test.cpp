// SPDX-License-Identifier: Apache-2.0
//
// What must never happen to a node: handlers taken away because nobody said anything, a containerd
// restarted that would not start, more restarts than allowed, an uninstall that leaves something.
#include <fcntl.h>
#include <sys/file.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>

#include "daemons/kata-manager/places.h"
#include "daemons/kata-manager/sandboxes.h"
#include "daemons/kata-manager/state.h"
#include "daemons/kata-manager/verbs.h"
#include "libgpuhost/base/status.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

const std::string kDir = "/var/lib/gpuhost/kata";
// A class with artefacts of its own.
const std::string kOwnClass = kOneClass + "  kata: {hypervisor.qemu: {default_memory: 4096}}\n";

struct Node : KataNode {
  Node() { root.File(kMain, "version = 2\n"); }
  State state() { return *ReadState(kernel, options.artifacts_dir); }
  Report Uninstall(const std::string& yaml) {
    services.now += 3600;
    Deps its = deps();
    return kata_manager::Uninstall(its, options, config(yaml));
  }
  int RollBack() {
    options.verb = Verb::kRollback;
    Deps its = deps();
    const int status = RunOnce(its, options);
    options.verb = Verb::kRun;
    return status;
  }
};

}  // namespace

TEST_CASE("no configuration is not an empty one") {
  Node node;
  const std::string path = node.options.config_path;
  const auto read = [&](Silence silence) { return ReadConfig(node.kernel, path, silence); };
  CHECK(read({.missing = true}).ok());
  CHECK_THAT(Text(read({}).status()), Catch::Contains("is not there; all stays as it is"));
  node.root.Directory(path);
  CHECK_FALSE(read({.missing = true, .empty = true}).ok());
  node.root.Remove(path);
  for (const char* nothing : {"", " \n\n", "# a comment\n", "---\n", "null\n"}) {
    CAPTURE(nothing);
    node.root.File(path, nothing);
    CHECK(read({.empty = true}).ok());
    CHECK_THAT(Text(read({}).status()), Catch::Contains("is empty; all stays as it is"));
  }
  for (const char* said : {"runtimeClasses: []\n", "runtimeClasses:\n", "{}\n"}) {
    node.root.File(path, said);
    CHECK(read({}).ok());
  }
}

TEST_CASE("a configuration that was given, or has done something, must be there") {
  Node node;
  node.options.verb = Verb::kPlan;
  Deps deps = node.deps();
  CHECK(RunOnce(deps, node.options) == 0);
  node.options.config_given = true;
  CHECK(RunOnce(deps, node.options) == 3);
  node.options.config_given = false;
  node.options.verb = Verb::kRun;
  REQUIRE(node.Apply(kOneClass).AllWell());
  const std::string with = node.Content(kMain);
  node.options.verb = Verb::kApply;
  node.services.now += 3600;
  CHECK(RunOnce(deps, node.options) == 3);
  node.root.File(node.options.config_path, "# nothing\n");
  CHECK(RunOnce(deps, node.options) == 3);
  CHECK(node.Content(kMain) == with);
  node.root.Remove(node.options.config_path);
  node.options.verb = Verb::kUninstall;
  CHECK(RunOnce(deps, node.options) == 0);
  CHECK(node.Content(kMain) == "version = 2\n");
}

TEST_CASE("a containerd whose files would not let it start is not restarted") {
  Node node;
  const std::string broken =
      GENERATE("version = 2\nimports = [\"/etc/containerd/other/nydus.toml\"]\n",
               "version = 2\nimports = [\"nested.toml\"]\n",
               "version = 2\nimports = [\"/etc/containerd/links/*.toml\"]\n");
  node.root.File("/etc/containerd/nested.toml", "imports = [\"/etc/containerd/gone.toml\"]\n");
  node.root.Link("/etc/containerd/links/a.toml", "/nowhere.toml");
  node.root.File(kMain, broken);
  const Report report = node.Apply(kOneClass);
  CHECK_THAT(report.Trouble(), Catch::Contains("containerd would not start") &&
                                   Catch::Contains("take the entry out, or put the file there"));
  CHECK(node.Content(kMain) == broken);
  CHECK(node.services.count == 0);
}

TEST_CASE("files that become unfit between the change and its restart keep it from being done") {
  Node node;
  CHECK_FALSE(node.Apply(kOneClass + "containerd: {restart: never}\n").AllWell());
  node.root.File(kMain, "imports = [\"/gone.toml\"]\n" + node.Content(kMain));
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("/gone.toml"));
  CHECK(node.services.count == 0);
}

TEST_CASE("containerd 1.x takes the plugin's table from an imported file alone, and that is said") {
  Node node;
  node.root.File("/etc/containerd/conf.d/99-nvidia.toml",
                 "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.nvidia]\n"
                 "runtime_type = \"io.containerd.runc.v2\"\n");
  node.root.File(kMain, "version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\"]\n");
  CHECK_THAT(node.Apply(kOneClass).Trouble(),
             Catch::Contains("/etc/containerd/conf.d/99-nvidia.toml, which "
                             "/etc/containerd/config.toml imports, has plugins."));
}

TEST_CASE("a class that containerd does not take keeps no other out") {
  Node node;
  const std::string other =
      fmt::format("- {{name: kata-y, configPath: {}, handler: {{snapshoter: erofs}}}}\n", kVendor);
  const Report report = node.Apply(kOneClass + other);
  CHECK_THAT(report.Trouble(), Catch::Contains("class kata-y: containerd would not take "
                                               "kata-y.snapshoter"));
  CHECK_THAT(node.Content(kMain), Catch::Contains("kata-x") && !Catch::Contains("kata-y"));
  CHECK(node.services.count == 1);
}

TEST_CASE("the restart of a way back counts, and a containerd that stays down is told of loudly") {
  Node node;
  node.services.answers = {absl::FailedPreconditionError("ended with 'failed'"),
                           absl::FailedPreconditionError("ended with 'failed'")};
  node.services.unit.state = "failed";
  const Report report = node.Apply(kOneClass);
  CHECK_THAT(report.Trouble(),
             Catch::Contains("containerd IS DOWN: containerd.service has failed") &&
                 Catch::Contains("journalctl -u containerd.service"));
  CHECK(node.state().restarts.size() == 2);
  Deps deps = node.deps();
  CHECK_THAT(DescribeStatus(deps, node.options, node.config(kOneClass)),
             Catch::Contains("IS DOWN"));
  node.services.unit.state = "";
  node.services.now += 60;
  CHECK_THAT(node.Apply("containerd: {restart: auto}\n").Trouble(), !Catch::Contains("IS DOWN"));
}

TEST_CASE("one that is started again and again is down, too") {
  Node node;
  REQUIRE(node.Apply(kOneClass).AllWell());
  node.services.unit.state = "activating";
  CHECK(node.Apply(kOneClass).down.ok());  // it just starts
  node.services.unit.restarts = 4;
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("was started anew 4 times"));
}

TEST_CASE("restarts that a clock which was ahead wrote down count no longer than others") {
  Node node;
  State state;
  state.restarts = {node.services.now + 1'000'000, node.services.now + 2'000'000};
  REQUIRE(WriteState(node.kernel, kDir, state).ok());
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("once in ten minutes"));
  node.services.now += 601;
  CHECK(node.Apply(kOneClass).AllWell());
}

TEST_CASE("a containerd that started in the second of the change may have the files of before") {
  Node node;
  node.services.unit.active_since = node.services.now;
  CHECK(node.Apply(kOneClass).AllWell());
  CHECK(node.services.count == 1);
}

TEST_CASE("only KillMode=process lets pods live on") {
  for (const char* mode : {"mixed", "control-group", "none", ""}) {
    CAPTURE(mode);
    Node node;
    node.services.unit.kill_mode = mode;
    CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("would end all pods"));
    CHECK(node.services.count == 0);
  }
}

TEST_CASE("kata-deploy's lock is waited for, and SIGTERM ends that wait at once") {
  Node node;
  node.root.File("/run/lock/kata-deploy.lock", "");
  const UniqueFd theirs(::open(node.root.Of("/run/lock/kata-deploy.lock").c_str(), O_RDWR));
  REQUIRE(::flock(theirs.get(), LOCK_EX) == 0);
  const TimePoint begin = node.clock.Now();
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("kata-deploy is at work"));
  CHECK(node.clock.Now() - begin >= std::chrono::seconds(30));
  CHECK(node.Content(kMain) == "version = 2\n");
  node.stopping = true;
  const TimePoint then = node.clock.Now();
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("about to end"));
  CHECK(node.clock.Now() == then);
}

TEST_CASE("SIGTERM after a restart leaves the change, and the next process looks at it") {
  Node node;
  node.services.started = [&] { node.stopping = true; };
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("about to end"));
  CHECK(node.state().restart_due);
  const std::string with = node.Content(kMain);
  node.stopping = false;
  node.running->insert("kata-x");
  CHECK(node.Apply(kOneClass).AllWell());
  CHECK(node.Content(kMain) == with);
  CHECK(node.services.count == 1);
}

TEST_CASE("a restart is due only when a file has been changed") {
  Node node;
  node.kernel.FailWritesWhile([](const std::string& path) { return path.find(kMain) == 0; });
  CHECK_FALSE(node.Apply(kOneClass).AllWell());
  CHECK_FALSE(node.state().restart_due);
  node.kernel.FailWritesWhile({});
  CHECK(node.Apply("").AllWell());
  CHECK(node.services.count == 0);
}

TEST_CASE("rolled back twice, the second time does nothing; after somebody's edit nothing at all") {
  Node node;
  REQUIRE(node.Apply(kOneClass).AllWell());
  const std::string with = node.Content(kMain);
  SECTION("twice") {
    CHECK(node.RollBack() == 0);
    CHECK(node.state().restart_due);
    node.services.now += 3600;
    CHECK_FALSE(node.Apply(kOneClass).AllWell());  // refused, and restarted for the files of before
    CHECK(node.services.count == 2);
    CHECK(node.RollBack() == 0);
    CHECK_FALSE(node.state().restart_due);
  }
  SECTION("after an edit") {
    node.root.File(kMain, with + "# mine\n");
    CHECK(node.RollBack() == 3);
    CHECK_FALSE(node.state().restart_due);
    CHECK(node.state().refused.empty());
    CHECK(node.Content(kMain) == with + "# mine\n");
  }
}

TEST_CASE("containerd.mode off takes away what is there") {
  Node node;
  REQUIRE(node.Apply(kOneClass).AllWell());
  node.services.now += 3600;
  CHECK(node.Apply(kOneClass + "containerd: {mode: off}\n").AllWell());
  CHECK(node.Content(kMain) == "version = 2\n");
  CHECK(node.services.count == 2);
}

TEST_CASE("an uninstall that would leave a handler without its artefacts changes nothing") {
  Node node;
  REQUIRE(node.Apply(kOwnClass).AllWell());
  std::string written = node.Content(kMain);  // by a tool that keeps no comments
  for (const char* mark : {"# BEGIN gpuhost", "# END gpuhost"}) {
    const size_t at = written.find(mark);
    written.erase(at, written.find('\n', at) + 1 - at);
  }
  node.root.File(kMain, written);
  node.root.File("/var/run/cdi/nvidia.com-pgpu.yaml", "# Written by gpuhost's kata-manager\n");
  CHECK_THAT(node.Uninstall(kOwnClass).Trouble(),
             Catch::Contains("not between our marks: /etc/containerd/config.toml: plugins.") &&
                 Catch::Contains("ConfigPath"));
  CHECK(node.Content(kMain) == written);
  CHECK(node.root.Exists(kDir + "/classes/kata-x/current"));
  CHECK(node.root.Exists("/var/run/cdi/nvidia.com-pgpu.yaml"));
  CHECK(node.services.count == 1);
}

TEST_CASE("uninstall with the mode off, and of all directories there ever were") {
  Node node;
  REQUIRE(node.Apply(kOwnClass).AllWell());
  const std::string moved = kOwnClass + "artifactsDir: /data/kata\n";
  node.services.now += 3600;
  CHECK(node.Apply(moved).AllWell());
  CHECK(node.root.Exists("/data/kata/classes/kata-x/current"));
  CHECK(node.Uninstall(moved + "containerd: {mode: off}\n").AllWell());
  CHECK(node.Content(kMain) == "version = 2\n");
  CHECK_FALSE(node.root.Exists("/data/kata/classes"));
  CHECK_FALSE(node.root.Exists(kDir + "/classes"));
  CHECK_FALSE(node.root.Exists(kPlaces));
}

TEST_CASE("a former directory is emptied when nothing needs it any more") {
  Node node;
  REQUIRE(node.Apply(kOwnClass).AllWell());
  node.services.now += 3600;
  Deps deps = node.deps();
  const Config moved = node.config(kOwnClass + "artifactsDir: /data/kata\n");
  REQUIRE(Pass(deps, node.options, moved).AllWell());
  CHECK(*RetirePlaces(deps, node.options, moved) == std::vector<std::string>{kDir});
  CHECK_FALSE(node.root.Exists(kDir + "/classes"));
  CHECK(node.root.Exists("/data/kata/classes/kata-x/current"));
}

TEST_CASE("a refused uninstall has changed nothing, the CDI files neither") {
  Node node;
  REQUIRE(node.Apply(kOneClass).AllWell());
  const std::string with = node.Content(kMain);
  node.root.File("/var/run/cdi/nvidia.com-pgpu.yaml", "# Written by gpuhost's kata-manager\n");
  node.AddShim(5, "abc");
  CHECK_THAT(node.Uninstall(kOneClass).Trouble(), Catch::Contains("abc among them"));
  CHECK(node.Content(kMain) == with);
  CHECK(node.root.Exists("/var/run/cdi/nvidia.com-pgpu.yaml"));
}

TEST_CASE("a process of somebody else is no sandbox and uses nothing, whatever it is called") {
  Node node;
  node.AddShim(5, "nobody-was-here", "65534\t65534\t65534\t65534");
  CHECK(SandboxesOf(node.kernel, {"kata-x"}).empty());
  const std::string directory = node.root.Of(kDir).string();
  fake::NodeProcess process{
      .pid = 6, .exe = "/usr/bin/tail", .arguments = {"tail", directory + "/x"}};
  process.uids = "7\t7\t7\t7";
  fake::AddProcess(node.root, process);
  CHECK_FALSE(IsInUse(node.kernel, directory));
  process.uids = "0\t0\t0\t0";
  fake::AddProcess(node.root, process);
  CHECK(IsInUse(node.kernel, directory));
}

TEST_CASE("a guest without root's rights is its shim's, and long lists of memory are read whole") {
  Node node;
  const std::string directory = node.root.Of(kDir).string();
  node.AddShim(5, "abc");
  fake::AddProcess(node.root, {.pid = 6, .exe = "/usr/bin/qemu", .uids = "7\t7\t7\t7"});
  node.root.File("/proc/6/maps", std::string(6u << 20, 'x') + directory + "/classes/a\n");
  CHECK_FALSE(IsInUse(node.kernel, directory));
  node.root.File("/proc/6/status", "PPid:\t5\nUid:\t7\t7\t7\t7\n");
  CHECK(IsInUse(node.kernel, directory));
}

TEST_CASE("a process that cannot be read may use everything") {
  Node node;
  fake::AddProcess(node.root, {.pid = 6, .exe = "/usr/bin/qemu", .arguments = {"qemu"}});
  CHECK_FALSE(IsInUse(node.kernel, node.root.Of(kDir).string()));
  node.root.File("/proc/6/status", "Name: qemu\n");
  node.root.Remove("/proc/6/maps");
  node.root.Directory("/proc/6/maps");
  CHECK(IsInUse(node.kernel, node.root.Of(kDir).string()));
}

TEST_CASE("what a unit may not write is told with what to do about it") {
  struct ReadOnly : HostFs {
    using HostFs::HostFs;
    absl::Status WriteFileAtomic(std::string_view, std::string_view, mode_t) override {
      return ErrnoStatus(EROFS, "replace");
    }
  };
  const fake::TempRoot root;
  ReadOnly fs(root.path());
  ::setenv("INVOCATION_ID", "1", 1);  // as systemd does
  const std::string told = Text(Commit(fs, {"/data/x", std::nullopt, "a"}));
  ::unsetenv("INVOCATION_ID");
  CHECK_THAT(told, Catch::Contains("Read-only") && Catch::Contains("ReadWritePaths="));
  CHECK_THAT(Text(Commit(fs, {"/data/x", std::nullopt, "a"})), !Catch::Contains("ReadWritePaths="));
}
