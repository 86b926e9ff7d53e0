// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/rpc/runtime_handlers.h"

#include <nlohmann/json.hpp>

#include "daemons/common/rpc/fields.h"
#include "daemons/common/rpc/unary_call.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::rpc {
namespace {

constexpr const char* kMethod = "runtime.v1.RuntimeService/Status";
constexpr std::string_view kVerbose = "\x08\x01";  // StatusRequest.verbose = true
constexpr const char* kDone = "0";
constexpr const char* kUnimplemented = "12";

// Numbers of fields: StatusResponse.info, .runtime_handlers; RuntimeHandler.name; of an entry of a
// map its key and value.
constexpr uint64_t kInfo = 2, kHandlers = 3, kName = 1, kKey = 1, kValue = 2;

// The names in the configuration that containerd runs with.
RuntimeHandlers NamesIn(const std::string& config) {
  const auto json = nlohmann::json::parse(config, nullptr, /*allow_exceptions=*/false);
  const nlohmann::json* table = &json;
  for (const char* key : {"containerd", "runtimes"}) {
    if (!table->is_object() || !table->contains(key)) return std::nullopt;
    table = &table->at(key);
  }
  if (!table->is_object()) return std::nullopt;
  std::set<std::string> names;
  for (const auto& [name, ignored] : table->items()) names.insert(name);
  return names;
}

}  // namespace

absl::StatusOr<RuntimeHandlers> AskRuntimeHandlers(const std::string& socket, Duration limit) {
  GPUHOST_ASSIGN(const UnaryAnswer answer, CallUnary(socket, kMethod, kVerbose, limit));
  if (answer.status != kDone) {
    return Error(answer.status == kUnimplemented ? absl::StatusCode::kUnimplemented
                                                 : absl::StatusCode::kUnavailable,
                 "call {} at {}: {} (gRPC status {})", kMethod, socket, answer.message,
                 answer.status);
  }
  std::set<std::string> names;
  RuntimeHandlers configured;
  for (const Field& field : FieldsOf(answer.bytes)) {
    if (field.number == kHandlers) {
      const std::string name = FieldOf(field.bytes, kName);
      if (!name.empty()) names.insert(name);  // the default one is there once more without a name
    } else if (field.number == kInfo && FieldOf(field.bytes, kKey) == "config") {
      configured = NamesIn(FieldOf(field.bytes, kValue));
    }
  }
  return names.empty() ? configured : RuntimeHandlers(names);
}

}  // namespace gpuhost::rpc
