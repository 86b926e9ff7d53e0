// SPDX-License-Identifier: Apache-2.0
//
// How gpuhost reports failure: absl::Status with a text of the form
// "operation path-or-object 'value': reason; remedy". The code keeps the class of the errno.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

// Returns from the enclosing function if `expr` (an absl::Status) is not OK.
#define GPUHOST_TRY(expr)                                             \
  do {                                                                \
    if (absl::Status status_ = (expr); !status_.ok()) return status_; \
  } while (false)

// `GPUHOST_ASSIGN(auto x, F())`: returns F()'s status, or moves its value into x.
#define GPUHOST_ASSIGN(lhs, expr) GPUHOST_ASSIGN_(GPUHOST_CONCAT_(result_, __LINE__), lhs, expr)
#define GPUHOST_ASSIGN_(result, lhs, expr)             \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  lhs = std::move(result).value()
#define GPUHOST_CONCAT_(a, b) GPUHOST_CONCAT2_(a, b)
#define GPUHOST_CONCAT2_(a, b) a##b

namespace gpuhost {

// An error with a formatted text.
template <typename... Args>
absl::Status Error(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return absl::Status(code, fmt::format(format, std::forward<Args>(args)...));
}

// "what: strerror(err)" with the code that stands for `err` (ENOENT and ENODEV become kNotFound,
// EACCES, EPERM and EROFS kPermissionDenied, EBUSY kFailedPrecondition, EAGAIN kUnavailable, ...).
absl::Status ErrnoStatus(int err, std::string_view what);

// The same status with "context: " put before its text; OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// The text alone, as a std::string (Debian's abseil has its own string_view).
std::string Text(const absl::Status& status);

}  // namespace gpuhost
