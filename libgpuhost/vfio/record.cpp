// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/record.h"

#include <array>

#include "libgpuhost/base/status.h"

namespace gpuhost::vfio {
namespace {

constexpr std::string_view kDirectory = "/run/nvidia/gpuhost/vfio";
constexpr std::array<std::string_view, 5> kStates = {"bound", "taken", "released", "returned",
                                                     "adjusted"};

std::string PathOf(const pci::Bdf& bdf) { return fmt::format("{}/{}", kDirectory, bdf); }

std::string ToText(const Record& record) {
  return fmt::format(
      "state={}\ndriver={}\ndriver_override={}\npower_control={}\nd3cold_allowed={}\n",
      kStates[static_cast<size_t>(record.state)], record.driver, record.driver_override,
      record.power_control, record.d3cold_allowed);
}

// The value in a line "key=value"; nothing when there is no such line.
std::optional<std::string> ValueOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with(key) && line.substr(key.size()).starts_with('=')) {
      return std::string(line.substr(key.size() + 1));
    }
  }
  return std::nullopt;
}

}  // namespace

Record RecordOf(const pci::Device& device, Record::State state) {
  return {
      .state = state,
      .driver = device.driver.value_or(""),
      .driver_override = device.guarded.ok() ? device.guarded->driver_override.value_or("") : "",
      .power_control = device.power_control.value_or(""),
      .d3cold_allowed = device.d3cold_allowed.value_or("")};
}

Record RecordBefore(const HostFs& fs, const pci::Device& device, Record::State state) {
  Record record = RecordOf(device, state);
  const auto earlier = ReadRecord(fs, device.bdf);
  if (earlier.ok() && (!device.driver || device.BoundToVfio())) {
    record = *earlier;
    record.state = state;
  }
  return record;
}

absl::StatusOr<Record> ReadRecord(const HostFs& fs, const pci::Bdf& bdf) {
  GPUHOST_ASSIGN(const std::string text, fs.Read(PathOf(bdf)));
  const auto state = ValueOf(text, "state");
  for (size_t i = 0; i < kStates.size(); ++i) {
    if (state != kStates[i]) continue;
    return Record{.state = static_cast<Record::State>(i),
                  .driver = ValueOf(text, "driver").value_or(""),
                  .driver_override = ValueOf(text, "driver_override").value_or(""),
                  .power_control = ValueOf(text, "power_control").value_or(""),
                  .d3cold_allowed = ValueOf(text, "d3cold_allowed").value_or("")};
  }
  return Error(absl::StatusCode::kDataLoss, "read {}: not a record of a device", PathOf(bdf));
}

std::map<pci::Bdf, Record> ReadRecords(const HostFs& fs) {
  std::map<pci::Bdf, Record> records;
  for (const std::string& name : fs.List(kDirectory).value_or(std::vector<std::string>())) {
    const auto bdf = pci::Bdf::Parse(name);
    if (!bdf.ok()) continue;
    if (auto record = ReadRecord(fs, *bdf); record.ok()) records.emplace(*bdf, *std::move(record));
  }
  return records;
}

absl::Status WriteRecord(HostFs& fs, const pci::Bdf& bdf, const Record& record) {
  GPUHOST_TRY(fs.MakeDirectories(kDirectory));
  return fs.WriteFileAtomic(PathOf(bdf), ToText(record), 0644);
}

absl::Status RemoveRecord(HostFs& fs, const pci::Bdf& bdf) { return fs.Remove(PathOf(bdf)); }

}  // namespace gpuhost::vfio
