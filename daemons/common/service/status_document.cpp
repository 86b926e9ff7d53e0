// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/status_document.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "libgpuhost/base/status.h"

namespace gpuhost::service {
namespace {

using nlohmann::ordered_json;

constexpr int kSchema = 1;

std::string PathOf(std::string_view daemon) {
  return fmt::format("{}/{}.json", kStatusDirectory, daemon);
}

std::string UtcNow() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text, length);
}

std::string TextOf(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

DeviceStatus ToDevice(const ordered_json& json) {
  DeviceStatus device{.bdf = TextOf(json, "bdf"),
                      .state = TextOf(json, "state"),
                      .pending = TextOf(json, "pending"),
                      .error = TextOf(json, "error"),
                      .withdraw = json.contains("withdraw") && json["withdraw"] == true,
                      .unusable = TextOf(json, "unusable"),
                      .unit = TextOf(json, "unit")};
  const auto users = json.find("users");
  if (users == json.end() || !users->is_array()) return device;
  device.users.emplace();
  for (const ordered_json& user : *users) {
    if (user.is_string()) device.users->push_back(user.get<std::string>());
  }
  return device;
}

}  // namespace

absl::Status Publish(HostFs& fs, StatusDocument document) {
  GPUHOST_TRY(fs.MakeDirectories(kStatusDirectory));
  const auto earlier = ReadStatusDocument(fs, document.daemon);
  const uint64_t generation = earlier.ok() ? earlier->generation + 1 : 1;
  ordered_json devices = ordered_json::array();
  for (const DeviceStatus& device : document.devices) {
    ordered_json json{{"bdf", device.bdf},
                      {"state", device.state},
                      {"pending", device.pending},
                      {"error", device.error}};
    if (device.withdraw) json["withdraw"] = true;
    if (!device.unusable.empty()) json["unusable"] = device.unusable;
    if (device.users) json["users"] = *device.users;
    if (!device.unit.empty()) json["unit"] = device.unit;
    devices.push_back(std::move(json));
  }
  const ordered_json json{{"schema", kSchema},
                          {"daemon", document.daemon},
                          {"generation", generation},
                          {"updated", UtcNow()},
                          {"phase", document.phase},
                          {"target", document.target},
                          {"transition", document.transition},
                          {"reason", document.reason},
                          {"devices", devices}};
  // Text from the outside may be in no known encoding; a document is always valid UTF-8.
  const std::string text = json.dump(2, ' ', false, ordered_json::error_handler_t::replace);
  return fs.WriteFileAtomic(PathOf(document.daemon), text + "\n", 0644);
}

absl::StatusOr<StatusDocument> ReadStatusDocument(const HostFs& fs, std::string_view daemon) {
  GPUHOST_ASSIGN(const std::string text, fs.Read(PathOf(daemon)));
  const ordered_json json = ordered_json::parse(text, nullptr, false);
  const bool known = json.is_object() && json.contains("schema") && json["schema"] == kSchema &&
                     json.contains("generation") && json["generation"].is_number_unsigned() &&
                     json.contains("devices") && json["devices"].is_array();
  if (!known) {
    return Error(absl::StatusCode::kDataLoss, "read {}: not a status document of schema {}",
                 PathOf(daemon), kSchema);
  }
  StatusDocument document{.daemon = TextOf(json, "daemon"),
                          .generation = json["generation"].get<uint64_t>(),
                          .phase = TextOf(json, "phase"),
                          .target = TextOf(json, "target"),
                          .transition = TextOf(json, "transition"),
                          .reason = TextOf(json, "reason")};
  for (const ordered_json& device : json["devices"]) {
    if (device.is_object()) document.devices.push_back(ToDevice(device));
  }
  return document;
}

}  // namespace gpuhost::service
