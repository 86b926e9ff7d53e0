// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/config_file.h"

#include <nlohmann/json.hpp>
#include <set>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

using nlohmann::json;

absl::Status Wrong(std::string_view what, const json& value) {
  return Error(absl::StatusCode::kInvalidArgument, "{}: not {}",
               value.dump(-1, ' ', true, json::error_handler_t::replace), what);
}

absl::Status CheckKeys(const json& object, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return Error(absl::StatusCode::kInvalidArgument, "'{}' is no setting here; there are {}", key,
                   fmt::join(known, ", "));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<uint16_t> DeviceId(const json& value) {
  const auto id = value.is_string() ? ParseHex(value.get<std::string>(), 0xffff) : std::nullopt;
  if (!id) return Wrong("the hexadecimal id of a PCI device, like \"2331\"", value);
  return static_cast<uint16_t>(*id);
}

absl::StatusOr<pci::Bdf> Address(const json& value) {
  if (value.is_string()) {
    if (auto bdf = pci::Bdf::Parse(value.get<std::string>()); bdf.ok()) return bdf;
  }
  return Wrong("an address, like \"0000:41:00.0\"", value);
}

template <typename T, typename Parse>
absl::StatusOr<std::vector<T>> ListOf(const json& object, const char* key, Parse parse) {
  std::vector<T> list;
  const auto found = object.find(key);
  if (found == object.end()) return list;
  if (!found->is_array() || found->empty()) return Wrong("a list with something in it", *found);
  for (const json& value : *found) {
    GPUHOST_ASSIGN(T parsed, parse(value));
    list.push_back(std::move(parsed));
  }
  return list;
}

absl::StatusOr<Selector> ParseSelector(const json& value) {
  if (!value.is_object()) return Wrong("a resource with \"name\"", value);
  GPUHOST_TRY(CheckKeys(value, {"name", "devices", "addresses"}));
  const auto name = value.find("name");
  if (name == value.end() || !name->is_string()) return Wrong("a resource with \"name\"", value);
  Selector selector{.name = name->get<std::string>()};
  GPUHOST_ASSIGN(selector.devices, ListOf<uint16_t>(value, "devices", DeviceId));
  GPUHOST_ASSIGN(selector.addresses, ListOf<pci::Bdf>(value, "addresses", Address));
  return selector;
}

absl::StatusOr<Partition> ParsePartition(const json& value) {
  Partition partition;
  const json object{{"partitions", value}};
  GPUHOST_ASSIGN(partition, ListOf<pci::Bdf>(object, "partitions", Address));
  if (std::set<pci::Bdf>(partition.begin(), partition.end()).size() < partition.size()) {
    return Wrong("a partition, an address is in it twice", value);
  }
  return partition;
}

}  // namespace

absl::StatusOr<ConfigFile> ParseConfigFile(const std::string& text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) {
    return absl::InvalidArgumentError("not a JSON object");
  }
  GPUHOST_TRY(CheckKeys(document, {"resources", "exclude", "names", "partitions"}));
  ConfigFile file;
  NamingConfig& config = file.naming;
  GPUHOST_ASSIGN(file.partitions, ListOf<Partition>(document, "partitions", ParsePartition));
  GPUHOST_ASSIGN(config.resources, ListOf<Selector>(document, "resources", ParseSelector));
  GPUHOST_ASSIGN(config.exclude, ListOf<pci::Bdf>(document, "exclude", Address));
  const auto names = document.find("names");
  if (names == document.end()) return file;
  if (!names->is_object()) return Wrong("an object of names by device id", *names);
  for (const auto& [key, value] : names->items()) {
    GPUHOST_ASSIGN(const uint16_t id, DeviceId(key));
    if (!value.is_string()) return Wrong("a name", value);
    config.names[id] = value.get<std::string>();
  }
  return file;
}

}  // namespace gpuhost::sandbox_device_plugin
