// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "daemons/kata-manager/metrics.h"
#include "daemons/kata-manager/verbs.h"
#include "libgpuhost/base/status.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

TEST_CASE("without classes containerd is not asked, not touched, not restarted") {
  for (const char* yaml : {"", "runtimeClasses: null\n", "runtimeClasses: []\n"}) {
    KataNode node;
    const std::string main = "# mine\nversion = 2\n[plugins]\n";
    node.root.File(kMain, main);
    node.root.Remove("/sys/module/vhost_net");
    Deps deps = node.deps();
    deps.find_program = [](const containerd::Location&) -> absl::StatusOr<containerd::Program> {
      FAIL("containerd was looked for");
      return absl::InternalError("");
    };
    const Report report = Pass(deps, node.options, node.config(yaml));
    INFO(report.Trouble());
    CHECK(report.AllWell());
    CHECK(node.loaded == std::vector<std::string>{"vhost_net"});
    CHECK(node.Content(kMain) == main);
    CHECK(node.services.count == 0);
    CHECK(*node.kernel.List("/etc/containerd") == std::vector<std::string>{"config.toml"});
    CHECK_FALSE(node.root.Exists("/var/lib/gpuhost"));
  }
}

TEST_CASE("a module that is not there is named, and the rest is done") {
  KataNode node;
  node.root.Remove("/sys/module/vhost_vsock");
  Deps deps = node.deps();
  deps.load_module = [](const std::string&) { return absl::UnknownError("Module not found"); };
  const Report report = Pass(deps, node.options, node.config(kOneClass));
  CHECK_THAT(report.Trouble(), Catch::Contains("vhost_vsock cannot be loaded: Module not found"));
  CHECK(report.runtime.restarted);
}

TEST_CASE("plan tells everything and changes nothing") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  Deps deps = node.deps();
  const auto plan = DescribePlan(deps, node.options, node.config(kOneClass));
  REQUIRE(plan.ok());
  CHECK_THAT(*plan, Catch::Contains("--- /etc/containerd/config.toml\n") &&
                        Catch::Contains("containerd.runtimes.kata-x]\n") &&
                        Catch::Contains("containerd.service is restarted\n"));
  CHECK(node.Content(kMain) == "version = 2\n");
  CHECK(node.services.count == 0);
  node.Apply(kOneClass);
  CHECK(DescribePlan(deps, node.options, node.config(kOneClass))->empty());
  CHECK(Verify(deps, node.options, node.config(kOneClass)).empty());
}

TEST_CASE("a class that cannot be had does not keep the others") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  const Report report = node.Apply(kOneClass + "- {name: kata-y, artifacts: {url: 'r.io/x@sha256:" +
                                   std::string(64, '0') + "'}}\n");
  CHECK_THAT(report.Trouble(), Catch::Contains("class kata-y: no registry here"));
  CHECK(report.runtime.restarted);
  CHECK_THAT(node.Content(kMain), Catch::Contains("kata-x") && !Catch::Contains("kata-y"));
}

TEST_CASE("a handler with running sandboxes stays") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  REQUIRE(node.Apply(kOneClass).AllWell());
  const std::string with = node.Content(kMain);
  node.AddShim(5, "abc");
  const Report report = node.Apply("");
  CHECK_THAT(report.Trouble(), Catch::Contains("1 sandboxes run with kata-x, abc among them"));
  CHECK(node.Content(kMain) == with);
  node.root.Remove("/proc/5");
  node.services.now += 3600;
  CHECK(node.Apply("").AllWell());
  CHECK(node.Content(kMain) == "version = 2\n");
}

TEST_CASE("a class whose files are gone for a moment keeps its handler") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  REQUIRE(node.Apply(kOneClass).AllWell());
  const std::string with = node.Content(kMain), vendor = node.Content(kVendor);
  node.root.Remove(kVendor);
  CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("is not there"));
  CHECK(node.Content(kMain) == with);
  CHECK(node.services.count == 1);
  node.root.File(kVendor, vendor);
  CHECK(node.Apply(kOneClass).AllWell());
}

TEST_CASE("what was rolled back stays so until something else is wanted") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  const auto with = [](int memory) {
    return kOneClass + "  kata: {hypervisor.qemu: {default_memory: " + std::to_string(memory) +
           "}}\n";
  };
  const auto memory = [&] {
    return node.Content("/var/lib/gpuhost/kata/classes/kata-x/current/config.d/50-gpuhost.toml");
  };
  REQUIRE(node.Apply(with(1)).AllWell());
  REQUIRE(node.Apply(with(2)).AllWell());
  CHECK(node.services.count == 1);  // newer files need no restart
  node.options.verb = Verb::kRollback;
  node.options.classes = {"kata-x"};
  Deps deps = node.deps();
  CHECK(RunOnce(deps, node.options) == 0);
  CHECK_THAT(memory(), Catch::Contains("default_memory = 1"));
  CHECK(node.Apply(with(2)).AllWell());
  CHECK_THAT(memory(), Catch::Contains("default_memory = 1"));
  CHECK(node.Apply(with(3)).AllWell());
  CHECK_THAT(memory(), Catch::Contains("default_memory = 3"));
}

TEST_CASE("containerd's files rolled back by hand stay so, too") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  REQUIRE(node.Apply(kOneClass).AllWell());
  node.services.now += 3600;
  node.options.verb = Verb::kRollback;
  Deps deps = node.deps();
  CHECK(RunOnce(deps, node.options) == 0);
  CHECK(node.Content(kMain) == "version = 2\n");
  for (int pass = 0; pass < 2; ++pass) {
    CHECK_THAT(node.Apply(kOneClass).Trouble(), Catch::Contains("taken back before"));
    CHECK(node.Content(kMain) == "version = 2\n");
    CHECK(node.services.count == 2);  // it runs with them again
  }
}

TEST_CASE("uninstall leaves nothing of ours") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  const std::string yaml = kOneClass + "  kata: {hypervisor.qemu: {default_memory: 4096}}\n";
  const Report applied = node.Apply(yaml);
  INFO(applied.Trouble());
  REQUIRE(applied.AllWell());
  CHECK_THAT(node.Content(kMain),
             Catch::Contains("/var/lib/gpuhost/kata/classes/kata-x/current/configuration.toml"));
  CHECK(node.Content("/var/lib/gpuhost/kata/classes/kata-x/current/configuration.toml") ==
        node.Content(kVendor));
  node.services.now += 3600;
  Deps deps = node.deps();
  CHECK(Uninstall(deps, node.options, node.config(yaml)).AllWell());
  CHECK(node.Content(kMain) == "version = 2\n");
  CHECK(node.kernel.List("/var/lib/gpuhost/kata")->empty());
}

TEST_CASE("an administrator who edits meanwhile is not overwritten") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  bool done = false;
  node.kernel.FailWritesWhile([&](const std::string& path) {
    if (path.ends_with("backup.json") && !done) {
      done = true;
      node.root.File(kMain, "version = 2\nroot = \"/mine\"\n");
    }
    return false;
  });
  const Report report = node.Apply(kOneClass);
  CHECK_THAT(report.Trouble(), Catch::Contains("somebody else has changed it"));
  CHECK(node.Content(kMain) == "version = 2\nroot = \"/mine\"\n");
  CHECK(node.services.count == 0);
  CHECK(node.Apply(kOneClass).AllWell());
  CHECK_THAT(node.Content(kMain), Catch::Contains("/mine") && Catch::Contains("kata-x"));
}

TEST_CASE("a main file that is a link stays one, and keeps its mode") {
  KataNode node;
  node.root.File("/data/config.toml", "version = 2\n");
  ::chmod(node.root.Of("/data/config.toml").c_str(), 0600);
  node.root.Link(kMain, "../../data/config.toml");
  REQUIRE(node.Apply(kOneClass).AllWell());
  CHECK(node.kernel.ReadLink(kMain).ok());
  CHECK_THAT(node.Content("/data/config.toml"), Catch::Contains("kata-x"));
  struct stat found {};
  REQUIRE(::stat(node.root.Of("/data/config.toml").c_str(), &found) == 0);
  CHECK((found.st_mode & 07777) == 0600);
}

TEST_CASE("what a pass has found, in numbers") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  node.services.unit.kill_mode = "control-group";
  service::Metrics metrics;
  DescribeMetrics(metrics);
  const auto pass = [&] {
    CountPass(node.deps(), node.options, node.config(kOneClass), node.Apply(kOneClass), metrics);
    return metrics.Render();
  };
  const std::string due = pass();
  CHECK_THAT(due, Catch::Contains("gpuhost_kata_runtime_restart_blocked 1\n") &&
                      Catch::Contains("gpuhost_kata_handler_loaded{handler=\"kata-x\"} 0\n") &&
                      Catch::Contains("gpuhost_kata_config_apply_total{result=\"done\"} 1\n") &&
                      Catch::Contains("gpuhost_kata_cdi_devices{kind=\"nvidia.com/pgpu\"} 0\n") &&
                      Catch::Contains("gpuhost_kata_passes_total{result=\"failed\"} 1\n"));
  CHECK_THAT(due, !Catch::Contains("gpuhost_kata_last_success_timestamp_seconds "));
  node.services.unit.kill_mode = "process";
  CHECK_THAT(pass(), Catch::Contains("gpuhost_kata_runtime_restarts_total 1\n") &&
                         Catch::Contains("gpuhost_kata_runtime_restart_blocked 0\n") &&
                         Catch::Contains("gpuhost_kata_handler_loaded{handler=\"kata-x\"} 1\n") &&
                         Catch::Contains("gpuhost_kata_last_success_timestamp_seconds 1"));
}

TEST_CASE("where Kubernetes brings its containerd along") {
  using containerd::Locate;
  fake::TempRoot root;
  const HostFs fs(root.path());
  CHECK(Locate(fs, {})->flavor == "plain");
  root.File("/etc/k0s/containerd.toml", "");
  CHECK(Locate(fs, {})->file == "/etc/k0s/containerd.d/gpuhost-kata.toml");
  const std::string k3s = "/var/lib/rancher/k3s/agent/etc/containerd";
  root.File(k3s + "/config.toml",
            "version = 3\nimports = [\"" + k3s + "/config-v3.toml.d/*.toml\"]\n");
  CHECK(Locate(fs, {})->file == k3s + "/config-v3.toml.d/gpuhost-kata.toml");
  CHECK_FALSE(Locate(fs, {})->restart_is_safe);
  CHECK(Locate(fs, {.flavor = "microk8s"})->main ==
        "/var/snap/microk8s/current/args/containerd-template.toml");
  CHECK(Locate(fs, {.flavor = "auto", .main = "/x/config.toml"})->file ==
        "/x/conf.d/gpuhost-kata.toml");
  CHECK_FALSE(Locate(fs, {.flavor = "k4s"}).ok());
}

TEST_CASE("containerd is asked where its main file has it listen, if that says so") {
  using containerd::Locate;
  fake::TempRoot root;
  const HostFs fs(root.path());
  const auto socket = [&](const std::string& main) {
    root.File("/etc/containerd/config.toml", main);
    return Locate(fs, {})->socket;
  };
  const std::string usual = "/run/containerd/containerd.sock";
  CHECK(socket("version = 2\n[grpc]\naddress = '/run/other.sock'\n") == "/run/other.sock");
  for (const char* main : {"", "[grpc]\nuid = 0\n", "[grpc]\naddress = ''\n",
                           "[grpc]\naddress = 7\n", "[grpc\naddress = '/run/other.sock'\n"}) {
    CAPTURE(main);
    CHECK(socket(main) == usual);
  }
  CHECK(Locate(fs, {.socket = "/run/told.sock"})->socket == "/run/told.sock");
}

TEST_CASE("a generated main file is not edited; it must import ours") {
  const std::string k3s = "/var/lib/rancher/k3s/agent/etc/containerd";
  for (const std::string& program : RealContainerds()) {
    KataNode node(program);
    node.root.Remove("/proc/900");
    node.services.name = "k3s.service";
    const std::string rendered = "version = 2\n";
    node.root.File(k3s + "/config.toml", rendered);
    const std::string trouble = node.Apply(kOneClass).Trouble();
    CHECK_THAT(trouble, Catch::Contains("template"));
    CHECK(node.Content(k3s + "/config.toml") == rendered);
    CHECK_FALSE(node.root.Exists(k3s + "/config.toml.d/gpuhost-kata.toml"));
  }
}

TEST_CASE("CRI-O gets a file of its own") {
  KataNode node;
  node.options.runtime = "crio";
  node.services.name = "crio.service";
  node.tells = false;  // as versions before 1.31
  const Report report = node.Apply(kOneClass);
  INFO(report.Trouble());
  REQUIRE(report.AllWell());
  CHECK(node.Content("/etc/crio/crio.conf.d/99-gpuhost-kata.conf") ==
        "# Written by gpuhost's kata-manager, which replaces and removes it.\n"
        "[crio.runtime.runtimes.kata-x]\nruntime_path = \"/opt/kata/bin/containerd-shim-kata-v2\"\n"
        "runtime_type = \"vm\"\nruntime_root = \"/run/vc\"\nruntime_config_path = \"" +
            std::string(kVendor) + "\"\nprivileged_without_host_devices = true\n");
  CHECK(node.services.count == 1);
  node.services.now += 3600;
  CHECK(node.Apply("").AllWell());
  CHECK_FALSE(node.root.Exists("/etc/crio/crio.conf.d/99-gpuhost-kata.conf"));
}
