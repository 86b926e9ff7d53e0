// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace gpuhost::vgpu {

// The Foundation Security Processor as BAR0 shows it.
class FspPortModel {
 public:
  virtual ~FspPortModel() = default;
  // Whether `offset` of BAR0 belongs to it.
  virtual bool Owns(uint32_t offset) const = 0;
  virtual uint32_t Read(uint32_t offset) = 0;
  virtual void Write(uint32_t offset, uint32_t value) = 0;
  virtual void Reset() = 0;       // what is on its way is lost
  virtual void LeaveStale() = 0;  // as if a user had died over a request
};

}  // namespace gpuhost::vgpu
