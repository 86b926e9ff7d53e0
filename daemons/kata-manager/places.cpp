// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/places.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr const char* kRecords[] = {"state.json", "backup.json"};

absl::Status WritePlaces(HostFs& fs, const std::vector<std::string>& places) {
  if (places.empty()) return fs.Remove(kPlaces);
  const std::string path = kPlaces;
  GPUHOST_TRY(fs.MakeDirectories(path.substr(0, path.rfind('/'))));
  return fs.WriteFileAtomic(path, nlohmann::json(places).dump() + "\n", 0644);
}

bool HasAny(const HostFs& fs, const std::string& directory) {
  return std::ranges::any_of(
      kRecords, [&](const char* name) { return fs.Exists(fmt::format("{}/{}", directory, name)); });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadPlaces(const HostFs& fs) {
  const auto text = fs.Read(kPlaces);
  if (absl::IsNotFound(text.status())) return std::vector<std::string>();
  if (!text.ok()) return text.status();
  try {
    return nlohmann::json::parse(*text).get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception& error) {
    return Error(absl::StatusCode::kDataLoss, "{}: {}; remove it if nothing else helps", kPlaces,
                 error.what());
  }
}

absl::Status EnterPlace(HostFs& fs, const std::string& directory) {
  GPUHOST_ASSIGN(std::vector<std::string> places, ReadPlaces(fs));
  if (!places.empty() && places.back() == directory) return absl::OkStatus();
  if (!HasAny(fs, directory) && !places.empty()) {
    GPUHOST_TRY(fs.MakeDirectories(directory));
    for (const char* name : kRecords) {
      const auto text = fs.Read(fmt::format("{}/{}", places.back(), name));
      if (absl::IsNotFound(text.status())) continue;
      if (!text.ok()) return text.status();
      GPUHOST_TRY(fs.WriteFileAtomic(fmt::format("{}/{}", directory, name), *text, 0600));
    }
  }
  std::erase(places, directory);
  places.push_back(directory);
  return WritePlaces(fs, places);
}

absl::Status LeavePlace(HostFs& fs, const std::string& directory) {
  GPUHOST_ASSIGN(std::vector<std::string> places, ReadPlaces(fs));
  if (std::erase(places, directory) == 0) return absl::OkStatus();
  return WritePlaces(fs, places);
}

bool HasChangedRuntime(const HostFs& fs, const std::string& directory) {
  const auto places = ReadPlaces(fs);
  if (!places.ok()) return true;
  const auto has = [&](const std::string& place) { return fs.Exists(place + "/backup.json"); };
  return has(directory) || std::ranges::any_of(*places, has);
}

bool HasRecords(const HostFs& fs, const std::string& directory) {
  return fs.Exists(kPlaces) || HasAny(fs, directory);
}

}  // namespace gpuhost::kata_manager
