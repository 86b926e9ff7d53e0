// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/base/status.h"

#include <cerrno>
#include <system_error>

namespace gpuhost {

absl::Status ErrnoStatus(int err, std::string_view what) {
  absl::StatusCode code = absl::ErrnoToStatusCode(err);
  if (err == EROFS) code = absl::StatusCode::kPermissionDenied;
  return Error(code, "{}: {}", what, std::generic_category().message(err));
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return Error(status.code(), "{}: {}", context, Text(status));
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }

}  // namespace gpuhost
