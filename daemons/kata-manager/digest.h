// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::kata_manager {

// Whether this process is to end; asked between pieces of long work, which then fails with
// kCancelled. Empty: never.
using Stopping = std::function<bool()>;
absl::Status CheckStopping(const Stopping& stopping);

// SHA-256 of what comes piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(std::string_view bytes);
  // 64 hexadecimal digits, of all so far. Call it once.
  std::string Hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string Sha256Of(std::string_view bytes);
// Of a file of any size, from its beginning; `what` names it in errors.
absl::StatusOr<std::string> Sha256OfFd(int fd, const std::string& what,
                                       const Stopping& stopping = {});
absl::StatusOr<std::string> Sha256OfFile(const HostFs& fs, const std::string& path,
                                         const Stopping& stopping = {});

}  // namespace gpuhost::kata_manager
