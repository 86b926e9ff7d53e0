// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <string>

#include "libgpuhost/base/host_fs.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::vfio {

// What gpuhost did to a device since the machine booted, and how it was before: one small file per
// device below /run. Only what has been bound by gpuhost is ever unbound, and a run that was killed
// half way does not make the next one forget the earlier driver.
struct Record {
  enum class State {
    kBound,     // to a VFIO driver, by us; also while that is under way
    kTaken,     // from its driver, by us, to be bound later
    kReleased,  // without driver, on request
    kReturned,  // to its native driver, on request
    kAdjusted,  // bound by something else; its override and power settings are ours
  };
  State state = State::kBound;
  // Before us; empty: none.
  std::string driver;
  std::string driver_override;
  // Power settings before us; empty: the device has no such attribute.
  std::string power_control;
  std::string d3cold_allowed;

  bool operator==(const Record&) const = default;
};

// As `device` is now.
Record RecordOf(const pci::Device& device, Record::State state);

// As `device` was before us: what an earlier record says where a run was cut off or has bound it,
// else as it is now.
Record RecordBefore(const HostFs& fs, const pci::Device& device, Record::State state);

// kNotFound when there is none, kDataLoss when the file is no record.
absl::StatusOr<Record> ReadRecord(const HostFs& fs, const pci::Bdf& bdf);
// All that can be read.
std::map<pci::Bdf, Record> ReadRecords(const HostFs& fs);
absl::Status WriteRecord(HostFs& fs, const pci::Bdf& bdf, const Record& record);
absl::Status RemoveRecord(HostFs& fs, const pci::Bdf& bdf);

}  // namespace gpuhost::vfio
