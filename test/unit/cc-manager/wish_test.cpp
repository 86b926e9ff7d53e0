// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/wish.h"

#include <catch2/catch.hpp>

#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

namespace {

struct Files {
  Files() {
    options.standalone = true;
    options.mode = Mode::kOff;
    options.config_path = "/cc-manager.toml";
  }
  fake::TempRoot root;
  HostFs fs{root.path()};
  fake::FakeClock clock;
  Options options;
};

}  // namespace

TEST_CASE("a configuration that is read again changes mode and policy, a bad one changes nothing") {
  Files files;
  Wish wish(files.fs, files.fs, files.clock, files.options, nullptr);
  CHECK(*wish.Mode() == Mode::kOff);
  wish.Reload();  // there is no file yet
  CHECK(*wish.Mode() == Mode::kOff);
  files.root.File("/cc-manager.toml", "mode = 'on'\nworkload-policy = 'refuse'\n");
  wish.Reload();
  CHECK(*wish.Mode() == Mode::kOn);
  CHECK(files.options.settings.policy == WorkloadPolicy::kRefuse);
  files.root.File("/cc-manager.toml", "mode = 'devtools'\nworkload-policy = 'kill'\n");
  wish.Reload();
  CHECK(*wish.Mode() == Mode::kOn);
}

TEST_CASE("a mode that the command line gives is not changed by a file") {
  Files files;
  files.options.mode_fixed = true;
  files.root.File("/cc-manager.toml", "mode = 'on'\n");
  Wish wish(files.fs, files.fs, files.clock, files.options, nullptr);
  wish.Reload();
  CHECK(*wish.Mode() == Mode::kOff);
}

TEST_CASE("a host without confidential VMs is off unless its label says otherwise") {
  Files files;
  files.options.standalone = false;
  files.options.mode = Mode::kOn;
  CHECK(*Wish(files.fs, files.fs, files.clock, files.options, nullptr).Mode() == Mode::kOff);
  files.root.File("/sys/module/kvm_amd/parameters/sev_snp", "Y\n");
  CHECK(*Wish(files.fs, files.fs, files.clock, files.options, nullptr).Mode() == Mode::kOn);
}

TEST_CASE(
    "a node that is made anew keeps its mode until it has a label or ten minutes have passed") {
  NodeWorld world({"h100-pcie"}, true, {{kMode, "off"}});
  Options options;
  options.mode = Mode::kOn;
  world.machine.root.File("/sys/module/kvm_amd/parameters/sev_snp", "Y\n");
  const auto wish_of = [&] {
    return Wish(world.machine.kernel, world.machine.kernel, world.machine.clock, options,
                world.node.get());
  };
  Wish wish = wish_of();
  CHECK(*wish.Mode() == Mode::kOff);
  REQUIRE(world.Settle().status.ok());

  world.server->DeleteNode("n");
  CHECK(absl::IsNotFound(wish.Mode().status()));
  world.server->AddNode("n");
  CHECK(*wish.Mode() == Mode::kOff);
  Wish of_new_process = wish_of();
  CHECK(*of_new_process.Mode() == Mode::kOff);
  world.server->SetLabels("n", {{kModeStateLabel, "off"}});  // as this program does
  world.machine.clock.SleepFor(Wish::kGrace / 2);
  CHECK(*wish.Mode() == Mode::kOff);
  SECTION("the label comes") {
    world.SetMode("devtools");
    CHECK(*wish.Mode() == Mode::kDevtools);
    world.server->SetLabels("n", {{kMode, std::nullopt}});  // its administrator takes it away
    CHECK(*wish.Mode() == Mode::kOn);
  }
  SECTION("it does not") {
    world.machine.clock.SleepFor(Wish::kGrace);
    CHECK(*wish.Mode() == Mode::kOn);
    CHECK(*of_new_process.Mode() == Mode::kOn);
  }
}
