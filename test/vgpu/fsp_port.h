// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "libgpuhost/base/clock.h"
#include "test/vgpu/fault.h"

namespace gpuhost::vgpu {

// What the FSP's ports know of the device around them.
struct FspWorld {
  Clock& clock;
  HasFault has_fault;
  std::function<bool()> runs;                      // false until its firmware has booted
  std::function<void(const std::string&)> breach;  // the host has broken a rule of the protocol
  uint64_t seed = 0;                               // of delays
};

// What the host knows of answers that nobody has fetched. One that comes between its look and its
// next request is not its fault.
struct HostView {
  bool looked = false;  // since its last request
  bool saw = false;     // an answer, when it looked last
  void Look(bool there) { looked = true, saw = there; }
  bool Careless() const { return saw || !looked; }
};

// The Foundation Security Processor as BAR0 shows it. It takes a request some time after it was
// sent, and answers some time after that, one request at a time and never before the answer before
// has been fetched.
class FspPortModel {
 public:
  virtual ~FspPortModel() = default;
  // Whether `offset` of BAR0 belongs to it.
  virtual bool Owns(uint32_t offset) const = 0;
  virtual uint32_t Read(uint32_t offset) = 0;
  virtual void Write(uint32_t offset, uint32_t value) = 0;
  virtual void Reset() = 0;          // what is on its way is lost
  virtual void LeaveStale() = 0;     // as if a user had died over a request
  virtual void LeaveStaleError() {}  // as if the answer before had gone wrong
};

}  // namespace gpuhost::vgpu
