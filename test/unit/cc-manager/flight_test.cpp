// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/flight.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "daemons/cc-manager/local_hardware.h"
#include "libgpuhost/base/status.h"
#include "test/fake/machine.h"

using namespace gpuhost;
using cc::Mode;
using cc_manager::LocalHardware;
using vgpu::Fault;

namespace {

constexpr std::string_view kDirectory = cc_manager::kFlightDirectory;

nlohmann::json Record(fake::Machine& machine, int number) {
  return nlohmann::json::parse(
      machine.root.Content(fmt::format("{}/{:08}.json", kDirectory, number)));
}

void Switch(fake::Machine& machine, Mode mode) {
  LocalHardware hardware(machine.host());
  if (hardware.Arm(mode)->status.ok()) hardware.Reset().IgnoreError();
}

}  // namespace

TEST_CASE("a failed change is recorded, a good or a refused one is not") {
  fake::Machine machine(2);
  Switch(machine, Mode::kOn);
  machine.HoldOpen(0, 1, "qemu");
  Switch(machine, Mode::kOff);
  CHECK_FALSE(machine.root.Exists(kDirectory));
  machine.root.Remove("/proc/1");

  machine.gpu(1).Set(Fault::kResetNoLatch);
  Switch(machine, Mode::kDevtools);
  const auto record = Record(machine, 1);
  CHECK(record["schema"] == 1);
  const auto& good = record["devices"][0];
  const auto& bad = record["devices"][1];
  CHECK(good["error"] == "");
  CHECK(good["after"] == "devtools");
  CHECK(bad["bdf"] == "0000:02:00.0");
  CHECK(bad["error"].get<std::string>().find("twice reset") == 0);
  CHECK(bad["driver"] == "vfio-pci");
  CHECK(bad["reset_method"] == "flr bus");
  CHECK(bad["config"].get<std::string>().starts_with("de103123"));
  CHECK(bad["registers"]["mode"] == nlohmann::json{"0x1182cc", "0x00000001"});
  CHECK(bad["knobs"]["cc-mode"]["value"] == 1);
  CHECK(bad["knobs"]["cc-devtools"]["value"] == 0);
  CHECK(bad["knobs"]["ppcie"]["may_change"] == true);
}

TEST_CASE("the firmware of a GPU in use is not asked for the record of a failed change") {
  fake::Machine machine(2);
  Switch(machine, Mode::kOn);
  machine.Bring(1, Mode::kOff);
  machine.HoldOpen(0, 1, "qemu");
  machine.gpu(0).ForbidBarWrites(true);
  machine.gpu(1).Set(Fault::kResetNoLatch);
  Switch(machine, Mode::kOn);
  const auto record = Record(machine, 1);
  CHECK_FALSE(record["devices"][0].contains("knobs"));
  CHECK(record["devices"][1].contains("knobs"));
  CHECK(machine.gpu(0).counters().violations == 0);
}

TEST_CASE("a GPU that is stuck in its reset is not touched any more") {
  fake::Machine machine(2);
  machine.gpu(0).Set(Fault::kResetHangs);
  uint64_t reads = 0;
  machine.kernel.OnWrite([&](const std::string& path) {
    if (path.find("0000:01:00.0/reset") != std::string::npos) {
      reads = machine.gpu(0).counters().bar_reads + machine.gpu(0).counters().config_reads;
    }
  });
  Switch(machine, Mode::kOn);
  CHECK(machine.gpu(0).counters().bar_reads + machine.gpu(0).counters().config_reads == reads);
  const auto record = Record(machine, 1);
  CHECK(record["devices"][0]["stuck"] == true);
  CHECK_FALSE(record["devices"][0].contains("registers"));
  CHECK(record["devices"][1].contains("registers"));
}

TEST_CASE("BAR0 behind a closed firewall stays untouched") {
  fake::Machine machine(1, "b200");
  machine.gpu(0).Set(Fault::kFirewallStuck);
  Switch(machine, Mode::kOn);
  CHECK(machine.gpu(0).counters().too_early == 0);
  CHECK(Record(machine, 1)["devices"][0]["registers_left_out"] ==
        "its firewall is not seen to be open");
}

TEST_CASE("the newest eight records are kept") {
  fake::Machine machine(1);
  machine.gpu(0).Set(Fault::kKnobLocked);
  for (int i = 0; i < 10; ++i) Switch(machine, Mode::kOn);
  const auto names = machine.kernel.List(kDirectory).value();
  REQUIRE(names.size() == 8);
  CHECK(names.front() == "00000003.json");
  CHECK(names.back() == "00000010.json");
}

TEST_CASE("a link where the records go is not followed: nothing elsewhere is written or removed") {
  fake::Machine machine(1);
  machine.gpu(0).Set(Fault::kKnobLocked);
  for (int i = 1; i <= 11; ++i) machine.root.File(fmt::format("/etc/cron.d/{:08}.json", i), "x");
  const std::string link = GENERATE("/run/nvidia/gpuhost-flight", "/run/nvidia");
  machine.root.Directory("/run");
  machine.root.Directory("/etc/cron.d/gpuhost-flight");
  if (link != "/run/nvidia") machine.root.Directory("/run/nvidia");
  std::filesystem::create_directory_symlink(machine.root.path() + "/etc/cron.d",
                                            machine.root.path() + link);
  LocalHardware hardware({machine.kernel, machine.clock, machine});
  CHECK_FALSE(hardware.Arm(Mode::kOn)->status.ok());
  for (int i = 1; i <= 11; ++i) {
    CHECK(machine.root.Content(fmt::format("/etc/cron.d/{:08}.json", i)) == "x");
  }
  CHECK_FALSE(machine.root.Exists("/etc/cron.d/00000012.json"));
  CHECK(machine.kernel.List("/etc/cron.d/gpuhost-flight")->empty());
}

TEST_CASE("a directory of records that others can write is not used, and a new one is ours alone") {
  fake::Machine machine(1);
  machine.gpu(0).Set(Fault::kKnobLocked);
  const std::string directory = machine.root.path() + std::string(kDirectory);
  machine.root.Directory(kDirectory);
  std::filesystem::permissions(directory, std::filesystem::perms(0777));
  Switch(machine, Mode::kOn);
  CHECK(machine.kernel.List(kDirectory)->empty());
  std::filesystem::remove(directory);
  Switch(machine, Mode::kOn);
  struct stat info {};
  REQUIRE(::stat(directory.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0700);
  REQUIRE(::stat((directory + "/00000001.json").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("a link in the place of a record is replaced, not followed") {
  fake::Machine machine(1);
  machine.gpu(0).Set(Fault::kKnobLocked);
  Switch(machine, Mode::kOn);
  const std::string directory = machine.root.path() + std::string(kDirectory);
  machine.root.File("/etc/shadow", "secret");
  std::filesystem::create_symlink(machine.root.path() + "/etc/shadow",
                                  directory + "/00000002.json.tmp");
  Switch(machine, Mode::kOn);
  CHECK(machine.root.Content("/etc/shadow") == "secret");
  CHECK(Record(machine, 2)["schema"] == 1);
}

TEST_CASE("the firmware of a GPU that somebody took is not asked for the record") {
  fake::Machine machine(2);
  LocalHardware hardware(machine.host());
  REQUIRE(hardware.Arm(Mode::kOn)->status.ok());
  machine.HoldOpen(0, 4711, "qemu");
  machine.gpu(1).Set(Fault::kRpcSilent);  // it cannot be disarmed, so the change has failed
  CHECK_FALSE(hardware.Reset()->status.ok());
  const auto record = Record(machine, 1);
  CHECK_FALSE(record["devices"][0].contains("knobs"));
  CHECK(record["devices"][1].contains("knobs"));
}
