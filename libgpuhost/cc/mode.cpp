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

State StateOf(Mode mode) {
  switch (mode) {
    case Mode::kOff:
      return State::kOff;
    case Mode::kOn:
      return State::kOn;
    case Mode::kDevtools:
      return State::kDevtools;
    case Mode::kPpcie:
      return State::kPpcie;
  }
  return State::kInvalid;
}

State DecodeState(gpu::ModeWord meaning, uint32_t word) {
  switch (meaning) {
    case gpu::ModeWord::kGpuScratch: {
      const uint32_t multi_gpu = (word >> 5) & 3;
      if (multi_gpu == 1) return State::kPpcie;
      constexpr State kByCcBits[] = {State::kOff, State::kOn, State::kInvalid, State::kDevtools};
      return kByCcBits[word & 3];
    }
    case gpu::ModeWord::kSwitch:
      return (word & 1) != 0 ? State::kPpcie : State::kOff;
  }
  return State::kInvalid;
}

}  // namespace gpuhost::cc
