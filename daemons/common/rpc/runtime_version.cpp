// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/rpc/runtime_version.h"

#include "daemons/common/rpc/fields.h"
#include "daemons/common/rpc/unary_call.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::rpc {
namespace {

constexpr const char* kMethod = "runtime.v1.RuntimeService/Version";
constexpr const char* kDone = "0";
constexpr const char* kUnimplemented = "12";
// Numbers of fields of VersionResponse.
constexpr uint64_t kName = 2, kVersion = 3;

}  // namespace

absl::StatusOr<RuntimeVersion> AskRuntimeVersion(const std::string& socket, Duration limit) {
  GPUHOST_ASSIGN(const UnaryAnswer answer, CallUnary(socket, kMethod, "", limit));
  if (answer.status != kDone) {
    return Error(answer.status == kUnimplemented ? absl::StatusCode::kUnimplemented
                                                 : absl::StatusCode::kUnavailable,
                 "call {} at {}: {} (gRPC status {})", kMethod, socket, answer.message,
                 answer.status);
  }
  return RuntimeVersion{FieldOf(answer.bytes, kName), FieldOf(answer.bytes, kVersion)};
}

}  // namespace gpuhost::rpc
