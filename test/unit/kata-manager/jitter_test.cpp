// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "daemons/kata-manager/state.h"
#include "libgpuhost/base/status.h"
#include "test/unit/kata-manager/kata_node.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;

namespace {

const std::string kSpread = kOneClass + "containerd: {restartJitter: 10m}\n";

int64_t Stagger(const std::string& machine, int64_t jitter) {
  fake::TempRoot root;
  root.File("/etc/machine-id", machine + "\n");
  return containerd::StaggerOf(HostFs(root.path()), jitter);
}

}  // namespace

TEST_CASE("nodes are spread over the whole time, each always at its place") {
  int early = 0, late = 0;
  for (int machine = 0; machine < 200; ++machine) {
    const std::string name = fmt::format("{:032x}", machine);
    const int64_t stagger = Stagger(name, 600);
    CHECK((stagger >= 0 && stagger <= 600));
    CHECK(stagger == Stagger(name, 600));
    CHECK(Stagger(name, 0) == 0);
    early += stagger < 200 ? 1 : 0;
    late += stagger > 400 ? 1 : 0;
  }
  CHECK(early > 40);
  CHECK(late > 40);
}

TEST_CASE("without a machine id the name of the host does it") {
  fake::TempRoot root;
  const HostFs fs(root.path());
  root.File("/proc/sys/kernel/hostname", "node-1\n");
  const int64_t first = containerd::StaggerOf(fs, 86'400);
  root.File("/proc/sys/kernel/hostname", "node-2\n");
  CHECK(containerd::StaggerOf(fs, 86'400) != first);
}

TEST_CASE("the restart waits for the node's turn; the files do not") {
  KataNode node;
  node.root.File(kMain, "version = 2\n");
  node.root.File("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
  const int64_t stagger = containerd::StaggerOf(node.kernel, 600);
  REQUIRE(stagger > 2);
  const Report first = node.Apply(kSpread);
  CHECK_THAT(first.Trouble(), Catch::Contains("when it is this node's turn"));
  CHECK(first.runtime.turn == stagger);
  CHECK(first.runtime.changed);
  CHECK(node.services.count == 0);

  SECTION("as long as it takes, with the same words") {
    node.services.now += stagger - 1;
    const Report before = node.Apply(kSpread);
    CHECK(before.runtime.turn == 1);
    CHECK(before.Trouble() == first.Trouble());
    CHECK(node.services.count == 0);
    node.services.now += 1;
    CHECK(node.Apply(kSpread).AllWell());
    CHECK(node.services.count == 1);
  }
  SECTION("a person does not wait") {
    node.options.verb = Verb::kApply;
    CHECK(node.Apply(kSpread).AllWell());
    CHECK(node.services.count == 1);
  }
  SECTION("a clock that is put back keeps nobody waiting") {
    node.services.now -= 86'400;
    node.Apply(kSpread);
    CHECK(node.services.count == 1);
  }
  SECTION("a restart by somebody else meanwhile will do") {
    node.services.Start();
    CHECK(node.Apply(kSpread).AllWell());
    CHECK(node.services.count == 0);
  }
}

TEST_CASE("times in the configuration") {
  const auto jitter = [](const std::string& word) -> absl::StatusOr<int64_t> {
    GPUHOST_ASSIGN(const Config config,
                   ParseConfig("f", fmt::format("containerd: {{restartJitter: {}}}\n", word)));
    return config.restart_jitter;
  };
  CHECK(*jitter("0s") == 0);
  CHECK(*jitter("90s") == 90);
  CHECK(*jitter("5m") == 300);
  CHECK(*jitter("24h") == 86'400);
  for (const char* word :
       {"", "5", "m", "-5m", "1.5h", "25h", "99999999999999999999s", "5 m", "[5m]", "5d"}) {
    CAPTURE(word);
    CHECK_THAT(Text(jitter(word).status()), Catch::Contains("a time like 90s, 5m or 1h"));
  }
}
