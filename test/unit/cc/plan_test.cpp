// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/plan.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"

using namespace gpuhost;
using cc::Mode;
using cc::State;
using gpu::Knob;

namespace {

using gpu::Architecture;

constexpr Mode kModes[] = {Mode::kOff, Mode::kOn, Mode::kDevtools, Mode::kPpcie};

std::map<Knob, uint16_t> KnobsAfter(Mode mode, Architecture chip = Architecture::kHopper) {
  std::map<Knob, uint16_t> knobs;
  for (const cc::KnobStep& step : cc::KnobsOf(mode, chip)) knobs[step.knob] = step.value;
  return knobs;
}

cc::Observation Idle(const std::string& bdf, uint16_t device = 0x2331) {
  pci::Device gpu{.bdf = *pci::Bdf::Parse(bdf),
                  .vendor = pci::kNvidia,
                  .device = device,
                  .class_code = 0x030200,
                  .driver = "vfio-pci",
                  .reset_methods = "flr bus"};
  return {.device = gpu, .chip = gpu::FindChip(gpu), .state = State::kOff};
}

std::string Refusal(const std::vector<cc::Observation>& seen, Mode mode, bool force = false) {
  const absl::Status status = cc::Admit(seen, mode, {.force = force});
  CHECK_FALSE(status.ok());
  return Text(status);
}

}  // namespace

TEST_CASE("modes print as they parse, and nothing else parses") {
  for (const Mode mode : kModes) CHECK(cc::ParseMode(cc::ToString(mode)).value() == mode);
  for (const char* bad : {"", "On", "on ", "OFF", "devtool", "invalid", "on\n"}) {
    CAPTURE(bad);
    CHECK(absl::IsInvalidArgument(cc::ParseMode(bad).status()));
  }
}

TEST_CASE("protected PCIe is decoded before CC") {
  using gpu::ModeWord;
  CHECK(cc::DecodeState(ModeWord::kHopper, 0x00).value() == State::kOff);
  CHECK(cc::DecodeState(ModeWord::kHopper, 0x01).value() == State::kOn);
  CHECK(cc::DecodeState(ModeWord::kHopper, 0x03).value() == State::kDevtools);
  CHECK(cc::DecodeState(ModeWord::kHopper, 0x02).value() == State::kInvalid);
  CHECK(cc::DecodeState(ModeWord::kHopper, 0x20).value() == State::kPpcie);
  CHECK(cc::DecodeState(ModeWord::kHopper, 0x180).value() == State::kOff);  // power-efficient bits
  CHECK(cc::DecodeState(ModeWord::kBlackwell, 0x143).value() ==
        State::kDevtools);  // and other bits
  CHECK(cc::DecodeState(ModeWord::kBlackwell, 0x20).value() == State::kOff);
  CHECK(cc::DecodeState(ModeWord::kSwitch, 1).value() == State::kPpcie);
  CHECK(cc::DecodeState(ModeWord::kSwitch, 0).value() == State::kOff);
}

TEST_CASE("the knobs of a mode bring this mode") {
  for (const Mode mode : kModes) {
    CAPTURE(cc::ToString(mode));
    CHECK(cc::PendingState(KnobsAfter(mode)) == cc::StateOf(mode));
  }
  CHECK(KnobsAfter(Mode::kOn).at(Knob::kBar0Decoupler) == 2);
  CHECK(KnobsAfter(Mode::kDevtools).at(Knob::kBar0Decoupler) == 0);
}

// Source: gpu-admin-tools v2026.09.16, with ppcie cleared for off.
TEST_CASE("every mode has exactly these knobs, in this order") {
  using enum Knob;
  using Steps = std::vector<cc::KnobStep>;
  const auto steps = [](Mode mode, Architecture chip) {
    const auto knobs = cc::KnobsOf(mode, chip);
    return Steps(knobs.begin(), knobs.end());
  };
  CHECK(steps(Mode::kOff, Architecture::kHopper) ==
        Steps{{kBar0Decoupler, 0}, {kPpcie, 0}, {kCcDevtools, 0}, {kCcMode, 0}});
  CHECK(steps(Mode::kOn, Architecture::kHopper) == Steps{{kFeature2, 0},
                                                         {kFeature4, 0},
                                                         {kFeature34, 0},
                                                         {kPpcie, 0},
                                                         {kBar0Decoupler, 2},
                                                         {kCcMode, 1},
                                                         {kCcDevtools, 0}});
  CHECK(steps(Mode::kDevtools, Architecture::kHopper) == Steps{{kFeature2, 0},
                                                               {kFeature4, 0},
                                                               {kFeature34, 0},
                                                               {kPpcie, 0},
                                                               {kBar0Decoupler, 0},
                                                               {kCcMode, 1},
                                                               {kCcDevtools, 1}});
  CHECK(steps(Mode::kPpcie, Architecture::kHopper) == Steps{{kFeature2, 0},
                                                            {kFeature4, 0},
                                                            {kFeature34, 0},
                                                            {kCcDevtools, 0},
                                                            {kCcMode, 0},
                                                            {kBar0Decoupler, 2},
                                                            {kPpcie, 1}});
  CHECK(steps(Mode::kPpcie, Architecture::kNvSwitch) == Steps{{kFeature2, 0},
                                                              {kFeature4, 0},
                                                              {kFeature34, 0},
                                                              {kCcDevtools, 0},
                                                              {kCcMode, 0},
                                                              {kBar0Decoupler, 0},
                                                              {kPpcie, 1}});
  for (const Mode mode : {Mode::kOff, Mode::kOn, Mode::kDevtools}) {
    CHECK(steps(mode, Architecture::kNvSwitch) == Steps{{kBar0Decoupler, 0}, {kPpcie, 0}});
  }
  CHECK(steps(Mode::kOff, Architecture::kBlackwell) == Steps{{kCcDevtools, 0}, {kCcMode, 0}});
  CHECK(steps(Mode::kOn, Architecture::kBlackwell) == Steps{{kCcMode, 1}, {kCcDevtools, 0}});
  CHECK(steps(Mode::kDevtools, Architecture::kBlackwell) == Steps{{kCcMode, 1}, {kCcDevtools, 1}});
  CHECK(steps(Mode::kPpcie, Architecture::kBlackwell).empty());
  for (const Mode mode : kModes) CHECK(steps(mode, Architecture::kBeforeHopper).empty());
}

TEST_CASE("no step on the way from any mode to any other leaves devtools without CC") {
  const Architecture chip =
      GENERATE(Architecture::kHopper, Architecture::kBlackwell, Architecture::kNvSwitch);
  for (const Mode from : kModes) {
    for (const Mode to : kModes) {
      CAPTURE(cc::ToString(from), cc::ToString(to));
      auto knobs = KnobsAfter(from, chip);
      for (const cc::KnobStep& step : cc::KnobsOf(to, chip)) {
        knobs[step.knob] = step.value;
        CHECK(cc::PendingState(knobs) != State::kInvalid);
        const bool both = knobs[Knob::kPpcie] == 1 && knobs[Knob::kCcMode] == 1;
        CHECK_FALSE(both);
      }
      const bool none = chip == Architecture::kBlackwell && to == Mode::kPpcie;
      if (!none) CHECK(cc::PendingState(knobs) == cc::StateOf(to, chip));
    }
  }
}

TEST_CASE("a device is reset only when its effective state differs") {
  const auto bdf = *pci::Bdf::Parse("0000:41:00.0");
  CHECK(cc::PlanDevice(bdf, Architecture::kHopper, State::kOff, Mode::kOn).reset);
  CHECK(cc::PlanDevice(bdf, Architecture::kHopper, State::kInvalid, Mode::kOff).reset);
  CHECK(cc::PlanDevice(bdf, Architecture::kHopper, State::kPpcie, Mode::kOff).reset);
  CHECK_FALSE(cc::PlanDevice(bdf, Architecture::kHopper, State::kOn, Mode::kOn).reset);
  CHECK(ToString(cc::PlanDevice(bdf, Architecture::kHopper, State::kOn, Mode::kOff)) ==
        "0000:41:00.0: bar0-decoupler=0 ppcie=0 cc-devtools=0 cc-mode=0, then reset, expect off");
}

TEST_CASE("idle Hopper GPUs are admitted") {
  for (const Mode mode : {Mode::kOff, Mode::kOn, Mode::kDevtools}) {
    CHECK(cc::Admit(std::vector{Idle("0000:01:00.0"), Idle("0000:02:00.0")}, mode, {}).ok());
  }
  cc::Observation asleep = Idle("0000:01:00.0");
  asleep.state = absl::UnavailableError("asleep");
  CHECK(cc::Admit(std::vector{asleep}, Mode::kOn, {}).ok());
}

TEST_CASE("one device in the way refuses the change and is named") {
  std::vector<cc::Observation> seen{Idle("0000:01:00.0"), Idle("0000:02:00.0")};
  cc::Observation& gpu = seen[1];
  SECTION("in use") {
    gpu.in_use_by = "qemu-system-x86 (pid 7)";
    CHECK(Refusal(seen, Mode::kOn) ==
          "0000:02:00.0: in use by qemu-system-x86 (pid 7); end that first");
    CHECK(cc::Admit(seen, Mode::kOn, {.force = true}).ok());
  }
  SECTION("held by a driver") {
    gpu.device.driver = "nvidia";
    CHECK(Refusal(seen, Mode::kOn, true).find("held by driver nvidia") != std::string::npos);
  }
  SECTION("dead") {
    gpu.state = absl::DataLossError("does not answer");
    CHECK(Refusal(seen, Mode::kOff) == "0000:02:00.0: does not answer");
  }
  SECTION("no reset") {
    gpu.device.reset_methods.reset();
    CHECK(Refusal(seen, Mode::kOn).find("reset_method") != std::string::npos);
    gpu.device.reset_methods = "pm bus";
    CHECK(Refusal(seen, Mode::kOn)
              .find("(reset_method is 'pm bus'); write 'flr' to "
                    "/sys/bus/pci/devices/0000:02:00.0/reset_method") != std::string::npos);
  }
}

// The kernel takes the first method that the device has (6.12, __pci_reset_function_locked).
TEST_CASE("only a device that the kernel resets by its function-level reset first is admitted") {
  const auto admitted = [](const std::string& methods) {
    cc::Observation gpu = Idle("0000:01:00.0");
    gpu.device.reset_methods = methods;
    return cc::Admit(std::vector{gpu}, Mode::kOn, {}).ok();
  };
  for (const char* good : {"flr", "flr bus", "flr pm bus"}) CHECK(admitted(good));
  for (const char* bad : {"", "bus", "bus flr", "pm flr", "af_flr", "flr_other",
                          "device_specific flr", "acpi flr", " flr"}) {
    CAPTURE(bad);
    CHECK_FALSE(admitted(bad));
  }
}

TEST_CASE("a node whose devices cannot all have the mode is refused") {
  std::vector<cc::Observation> seen{Idle("0000:01:00.0"), Idle("0000:02:00.0", 0x2901)};
  CHECK(Refusal(seen, Mode::kPpcie).find("0000:02:00.0: GB100 has no protected PCIe") == 0);
  CHECK(cc::Admit(seen, Mode::kOn, {}).ok());

  cc::Observation superchip = Idle("0000:03:00.0", 0x2342);
  CHECK(Refusal({superchip}, Mode::kOn).find("coupled to its CPU") != std::string::npos);
  CHECK(cc::Admit(std::vector{superchip}, Mode::kOff, {}).ok());
  superchip = Idle("0000:03:00.0", 0x31c3);
  CHECK(Refusal({superchip}, Mode::kOn).find("coupled to its CPU") != std::string::npos);
  superchip.mode_word = gpu::kCoupledCcBit;
  CHECK(cc::Admit(std::vector{superchip}, Mode::kOn, {}).ok());

  cc::Observation old_switch = Idle("0000:04:00.0", 0x1af1);
  old_switch.device.class_code = 0x068000;
  old_switch.chip = gpu::FindChip(old_switch.device);
  old_switch.state = absl::UnimplementedError("LR10 has no modes");
  seen = {Idle("0000:01:00.0"), old_switch};
  CHECK(Refusal(seen, Mode::kPpcie) == "0000:04:00.0: LR10 has no modes");
  CHECK(cc::Admit(seen, Mode::kOn, {}).ok());
}

TEST_CASE("a device that a driver holds is no obstacle once it is in its state") {
  cc::Observation gpu = Idle("0000:01:00.0");
  gpu.device.driver = "nvidia";
  CHECK(cc::Admit(std::vector{gpu}, Mode::kOff, {}).ok());
  CHECK_FALSE(cc::TakesPart(gpu, Mode::kOff));
  CHECK_FALSE(cc::Admit(std::vector{gpu}, Mode::kOn, {}).ok());
}

TEST_CASE("NVSwitches alone are no GPUs to switch") {
  cc::Observation nvswitch = Idle("0000:01:00.0", 0x22a3);
  nvswitch.device.class_code = 0x068000;
  CHECK(absl::IsNotFound(cc::Admit(std::vector{nvswitch}, Mode::kOn, {})));
}

TEST_CASE("a part without modes refuses every mode but off") {
  cc::Observation a100 = Idle("0000:03:00.0", 0x20b5);
  a100.state = absl::UnimplementedError("GA100 has no modes");
  const std::vector<cc::Observation> seen{Idle("0000:01:00.0"), a100};
  CHECK(Refusal(seen, Mode::kOn) == "0000:03:00.0: GA100 has no modes");
  CHECK(cc::Admit(seen, Mode::kOff, {}).ok());
  CHECK_FALSE(cc::TakesPart(a100, Mode::kOff));
}

TEST_CASE("a device in use that is in the mode already is left in peace") {
  cc::Observation gpu = Idle("0000:01:00.0");
  gpu.state = State::kOn;
  gpu.in_use_by = "qemu (pid 1)";
  CHECK(cc::Admit(std::vector{gpu}, Mode::kOn, {}).ok());
  CHECK_FALSE(cc::TakesPart(gpu, Mode::kOn));
  CHECK_FALSE(cc::Admit(std::vector{gpu}, Mode::kOff, {}).ok());
}

TEST_CASE("no device is no success") { CHECK(absl::IsNotFound(cc::Admit({}, Mode::kOn, {}))); }

TEST_CASE("a board that hangs in its reset stays in its mode") {
  const std::vector<cc::Observation> seen{Idle("0000:01:00.0", 0x2b85)};
  CHECK(cc::Admit(seen, Mode::kOff, {}).ok());
  CHECK(Refusal(seen, Mode::kOn, /*force=*/true).find("never ends") != std::string::npos);
  CHECK(cc::Admit(std::vector{Idle("0000:01:00.0", 0x2bb1)}, Mode::kOn, {}).ok());
}
