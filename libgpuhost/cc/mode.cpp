// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/cc/mode.h"

#include "libgpuhost/base/status.h"

namespace gpuhost::cc {

absl::StatusOr<Mode> ParseMode(std::string_view text) {
  for (const Mode mode : {Mode::kOff, Mode::kOn, Mode::kDevtools, Mode::kPpcie}) {
    if (text == ToString(mode)) return mode;
  }
  return Error(absl::StatusCode::kInvalidArgument,
               "'{}' is not a confidential-computing mode; use off, on, devtools or ppcie", text);
}

std::string_view ToString(Mode mode) { return ToString(StateOf(mode)); }

std::string_view ToString(State state) {
  switch (state) {
    case State::kOff:
      return "off";
    case State::kOn:
      return "on";
    case State::kDevtools:
      return "devtools";
    case State::kPpcie:
      return "ppcie";
    case State::kInvalid:
      return "invalid";
  }
  return "invalid";
}

State StateOf(Mode mode, gpu::Architecture architecture) {
  const bool is_switch = architecture == gpu::Architecture::kNvSwitch;
  switch (mode) {
    case Mode::kOff:
      return State::kOff;
    case Mode::kOn:
      return is_switch ? State::kOff : State::kOn;
    case Mode::kDevtools:
      return is_switch ? State::kOff : State::kDevtools;
    case Mode::kPpcie:
      return State::kPpcie;
  }
  return State::kInvalid;
}

absl::StatusOr<State> DecodeState(gpu::ModeWord meaning, uint32_t word) {
  constexpr State kByCcBits[] = {State::kOff, State::kOn, State::kInvalid, State::kDevtools};
  switch (meaning) {
    case gpu::ModeWord::kHopper: {
      const uint32_t multi_gpu = (word >> 5) & 3;
      if (multi_gpu > 1) {
        return Error(absl::StatusCode::kDataLoss,
                     "mode register shows {:#010x}, multi-GPU mode {}, which this version does not "
                     "know; update gpuhost",
                     word, multi_gpu);
      }
      return multi_gpu == 1 ? State::kPpcie : kByCcBits[word & 3];
    }
    case gpu::ModeWord::kBlackwell:
      return kByCcBits[word & 3];
    case gpu::ModeWord::kSwitch:
      return (word & 1) != 0 ? State::kPpcie : State::kOff;
  }
  return State::kInvalid;
}

}  // namespace gpuhost::cc
