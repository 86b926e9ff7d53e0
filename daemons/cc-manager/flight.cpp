// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/flight.h"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "daemons/cc-manager/private_directory.h"
#include "daemons/common/service/log.h"
#include "libgpuhost/base/parallel.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/diagnostics.h"
#include "libgpuhost/gpu/session.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::cc_manager {
namespace {

using nlohmann::ordered_json;

constexpr size_t kKept = 8;

std::string NameOf(uint64_t number) { return fmt::format("{:08}.json", number); }

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return text;
}

ordered_json StateJson(const std::optional<cc::State>& state) {
  return state ? ordered_json(std::string(cc::ToString(*state))) : ordered_json(nullptr);
}

// Asks a firmware that has booted, up to its first error that is not "unknown knob".
ordered_json Knobs(const gpu::Host& host, const pci::Device& device) {
  using enum gpu::Knob;
  ordered_json knobs = ordered_json::object();
  const auto session = gpu::Session::Open(host, device);
  if (!session.ok()) return {{"error", Text(session.status())}};
  gpu::Prc& firmware = (*session)->firmware();
  for (const gpu::Knob knob :
       {kFeature2, kFeature4, kCcDevtools, kCcMode, kBar0Decoupler, kFeature34, kPpcie}) {
    const auto value = firmware.Read(knob);
    const auto allowed = firmware.MayChange(knob);
    for (const absl::Status& status : {value.status(), allowed.status()}) {
      if (status.ok() || absl::IsNotFound(status)) continue;
      knobs["error"] = Text(status);
      return knobs;
    }
    if (!value.ok()) continue;
    knobs[gpu::KnobName(knob)] = {{"value", *value}, {"may_change", allowed.value_or(false)}};
  }
  return knobs;
}

ordered_json Device(const gpu::Host& host, const cc::Observation& seen,
                    const cc::DeviceResult& result) {
  ordered_json json{{"bdf", result.bdf.ToString()},
                    {"error", Text(result.status)},
                    {"before", StateJson(result.before)},
                    {"after", StateJson(result.after)},
                    {"pending", StateJson(result.pending)},
                    {"reset", result.reset},
                    {"stuck", result.stuck},
                    {"chip", seen.chip == nullptr ? "" : std::string(seen.chip->name)}};
  const pci::Device device = pci::ReadDevice(host.fs, result.bdf).value_or(seen.device);
  json["id"] = fmt::format("{:04x}:{:04x}", device.vendor, device.device);
  json["driver"] = device.driver.value_or("");
  json["reset_method"] = device.reset_methods.value_or("");
  json["power_state"] = device.power_state.value_or("");
  if (result.stuck) return json;
  const gpu::Diagnostics found = gpu::ReadDiagnostics(host, device);
  json["config"] = Hex(found.config);
  json["faults"] = found.faults;
  for (const auto& [name, offset, value] : found.registers) {
    json["registers"][std::string(name)] = {fmt::format("{:#x}", offset),
                                            fmt::format("{:#010x}", value)};
  }
  json["registers_left_out"] = found.registers_left_out;
  const bool may_ask = seen.in_use_by.empty() && (!device.driver || device.BoundToVfio());
  if (may_ask && cc::Observe(host, device).state.ok()) json["knobs"] = Knobs(host, device);
  return json;
}

// Makes room for one more and returns its number.
absl::StatusOr<uint64_t> NextNumber(PrivateDirectory& directory) {
  GPUHOST_ASSIGN(const std::vector<std::string> names, directory.List());
  std::vector<uint64_t> numbers;
  for (const std::string& name : names) {
    if (!name.ends_with(".json")) continue;
    const auto number = ParseDecimal(name.substr(0, name.size() - 5), INT32_MAX);
    if (number) numbers.push_back(*number);
  }
  std::ranges::sort(numbers);
  for (size_t i = 0; i + kKept <= numbers.size(); ++i) {
    GPUHOST_TRY(directory.Remove(NameOf(numbers[i])));
  }
  return numbers.empty() ? 1 : numbers.back() + 1;
}

absl::StatusOr<std::string> Store(HostFs& fs, const ordered_json& json) {
  const std::string path(kFlightDirectory);
  GPUHOST_ASSIGN(PrivateDirectory directory, PrivateDirectory::Open(fs, path));
  GPUHOST_ASSIGN(const uint64_t number, NextNumber(directory));
  const std::string text = json.dump(2, ' ', false, ordered_json::error_handler_t::replace);
  GPUHOST_TRY(directory.Write(NameOf(number), text + "\n"));
  return fmt::format("{}/{}", path, NameOf(number));
}

}  // namespace

void RecordFlight(const gpu::Host& host, std::span<const cc::Observation> seen,
                  const cc::Outcome& outcome) {
  std::vector<ordered_json> devices(outcome.devices.size());
  InParallel(devices.size(), [&](size_t i) {
    const cc::DeviceResult& result = outcome.devices[i];
    const auto before = std::ranges::find(
        seen, result.bdf, [](const cc::Observation& one) { return one.device.bdf; });
    if (before != seen.end()) devices[i] = Device(host, *before, result);
  });
  const ordered_json json{{"schema", 1},
                          {"time", static_cast<int64_t>(std::time(nullptr))},
                          {"error", Text(outcome.status)},
                          {"devices", devices}};
  const auto path = Store(host.fs, json);
  if (path.ok()) {
    service::Log(service::Level::kInfo, "what is known of the failed change is in a file",
                 {{"file", *path}});
  } else {
    service::Log(service::Level::kWarning, "failed change not recorded, ignoring",
                 {{"error", path.status()}});
  }
}

}  // namespace gpuhost::cc_manager
