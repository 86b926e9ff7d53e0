// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/drift.h"

#include <catch2/catch.hpp>

#include "daemons/kata-manager/metrics.h"
#include "daemons/kata-manager/rivals.h"
#include "daemons/kata-manager/state.h"
#include "libgpuhost/base/status.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using namespace std::chrono_literals;

namespace {

constexpr const char* kBare = "version = 2\n";
constexpr const char* kCdi = "/var/run/cdi/nvidia.com-pgpu.yaml";

// Passes of one process.
struct Node : KataNode {
  Node() { root.File(kMain, kBare); }
  Report Pass(const std::string& yaml = kOneClass) {
    services.now += 60;
    clock.SleepFor(60s);
    return kata_manager::Pass(process, options, config(yaml));
  }
  Deps process = deps();
};

}  // namespace

TEST_CASE("what somebody else takes out is put back, without a restart that changes nothing") {
  Node node;
  REQUIRE(node.Pass().AllWell());
  const std::string with = node.Content(kMain);
  node.root.File(kMain, kBare);
  const Report report = node.Pass();
  INFO(report.Trouble());
  CHECK(report.AllWell());
  CHECK(report.repaired == std::vector<std::string>{kMain});
  CHECK(node.Content(kMain) == with);
  CHECK(node.services.count == 1);
  CHECK_FALSE(ReadState(node.kernel, node.options.artifacts_dir)->restart_due);
  CHECK(node.Pass().repaired.empty());
}

TEST_CASE("if containerd was started with it taken out, it is started once more") {
  Node node;
  REQUIRE(node.Pass().AllWell());
  node.root.File(kMain, kBare);
  node.services.now += 3600;
  node.services.Start();
  node.services.now += 60;
  CHECK(node.Pass().AllWell());
  CHECK(node.services.count == 2);
  CHECK(node.running->contains("kata-x"));
}

TEST_CASE("three times within an hour, then the file is left alone and who may be it is said") {
  Node node;
  REQUIRE(node.Pass().AllWell());
  const std::string with = node.Content(kMain);
  for (int i = 0; i < 3; ++i) {
    node.root.File(kMain, kBare);
    CHECK(node.Pass().AllWell());
    CHECK(node.Content(kMain) == with);
  }
  node.root.File(kMain, kBare);
  node.root.File("/etc/containerd/conf.d/kata-deploy.toml", "");
  const Report report = node.Pass();
  CHECK(node.Content(kMain) == kBare);
  REQUIRE(report.given_up.size() == 1);
  CHECK_THAT(report.Trouble(),
             Catch::StartsWith(kMain) && Catch::Contains("it is left alone: it may be kata-deploy "
                                                         "(/etc/containerd/conf.d/kata-deploy."
                                                         "toml); end that, then send SIGHUP"));

  SECTION("for good, also when it comes right by itself and time passes") {
    node.root.File(kMain, with);
    node.clock.SleepFor(24h);
    CHECK_FALSE(node.Pass().AllWell());
  }
  SECTION("until somebody wants it tried again, and then three times more") {
    node.process.drift.Forget();
    for (int i = 0; i < 3; ++i) {
      CHECK(node.Pass().AllWell());
      CHECK(node.Content(kMain) == with);
      node.root.File(kMain, kBare);
    }
    CHECK_FALSE(node.Pass().AllWell());
  }
}

TEST_CASE("repairs of more than an hour ago do not count") {
  Node node;
  REQUIRE(node.Pass().AllWell());
  for (int i = 0; i < 10; ++i) {
    node.root.File(kMain, kBare);
    CHECK(node.Pass().AllWell());
    node.clock.SleepFor(21min);
  }
}

TEST_CASE("changes that we are asked for, or that are not about what is ours, are no repairs") {
  Node node;
  for (int i = 0; i < 6; ++i) {
    const Report report =
        node.Pass(kOneClass + fmt::format("  handler: {{cni_max_conf_num: {}}}\n", i));
    CHECK(report.repaired.empty());
    CHECK(report.given_up.empty());
  }
  for (int i = 0; i < 6; ++i) {
    node.root.File(kMain, "# a word\n" + node.Content(kMain));
    const Report report = node.Pass(kOneClass + "  handler: {cni_max_conf_num: 5}\n");
    CHECK(report.repaired.empty());
    CHECK(report.given_up.empty());
  }
}

TEST_CASE("a repair that fails is tried again, and is none") {
  Node node;
  REQUIRE(node.Pass().AllWell());
  node.root.File(kMain, kBare);
  node.kernel.FailWritesWhile([](const std::string& path) { return path.ends_with(kMain); });
  for (int i = 0; i < 6; ++i) {
    const Report report = node.Pass();
    CHECK_FALSE(report.AllWell());
    CHECK(report.repaired.empty());
    CHECK(report.given_up.empty());
  }
  node.kernel.FailWritesWhile({});
  CHECK(node.Pass().repaired.size() == 1);
  CHECK(node.services.count == 1);
}

TEST_CASE("CDI files likewise; new devices are no repair") {
  Node node;
  node.kernel.AddDriver("vfio-pci");
  const auto add = [&](int number) {
    node.kernel.Add(
        {.bdf = fmt::format("0000:4{}:00.0", number), .iommu_group = number, .driver = "vfio-pci"});
    node.root.File(fmt::format("/dev/vfio/{}", number), "");
  };
  for (int i = 1; i < 6; ++i) {
    add(i);
    CHECK(node.Pass("").AllWell());
  }
  const std::string whole = node.Content(kCdi);
  for (int i = 0; i < 3; ++i) {
    node.root.Remove(kCdi);
    CHECK(node.Pass("").repaired == std::vector<std::string>{kCdi});
    CHECK(node.Content(kCdi) == whole);
  }
  node.root.Remove(kCdi);
  fake::AddProcess(node.root, {.pid = 77, .exe = "/usr/bin/nvidia-sandbox-device-plugin"});
  CHECK_THAT(node.Pass("").Trouble(),
             Catch::Contains("it may be NVIDIA's sandbox device plugin (it runs)"));
  CHECK_FALSE(node.root.Exists(kCdi));
}

TEST_CASE("nobody is suspected without a trace") {
  Node node;
  CHECK(RivalsFor(node.kernel, kMain).empty());
  CHECK_THAT(Text(GaveUp(node.kernel, kMain)),
             Catch::Contains("nobody known was found, auditctl -w /etc/containerd/config.toml"));
  node.root.File("/etc/containerd/conf.d/99-nvidia.toml", "");
  CHECK(RivalsFor(node.kernel, kOwn) ==
        std::vector<std::string>{
            "NVIDIA's container toolkit (/etc/containerd/conf.d/99-nvidia.toml)"});
  CHECK(RivalsFor(node.kernel, kCdi).empty());
}

TEST_CASE("drift and what was given up, in numbers") {
  Node node;
  service::Metrics metrics;
  DescribeMetrics(metrics);
  const auto pass = [&] {
    CountPass(node.process, node.options, node.config(kOneClass), node.Pass(), metrics);
    return metrics.Render();
  };
  const std::string drift = fmt::format("gpuhost_kata_config_drift_total{{file=\"{}\"}} ", kMain);
  const std::string given_up = fmt::format("gpuhost_kata_file_given_up{{file=\"{}\"}} 1\n", kMain);
  CHECK_THAT(pass(), !Catch::Contains(drift) && !Catch::Contains(given_up));
  for (int i = 0; i < 4; ++i) {
    node.root.File(kMain, kBare);
    pass();
  }
  CHECK_THAT(pass(), Catch::Contains(drift + "3\n") && Catch::Contains(given_up));
  node.process.drift.Forget();
  CHECK_THAT(pass(), Catch::Contains(drift + "4\n") && !Catch::Contains(given_up));
}
