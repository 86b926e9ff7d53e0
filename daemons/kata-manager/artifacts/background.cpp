// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/artifacts/background.h"

#include <sys/eventfd.h>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::artifacts {
namespace {

void Raise(const UniqueFd& event) {
  const uint64_t one = 1;
  while (::write(event.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Clear(const UniqueFd& event) {
  uint64_t count = 0;
  while (::read(event.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
}

}  // namespace

BackgroundFetch::BackgroundFetch(FetchClass local, FetchClass remote)
    : local_(std::move(local)),
      remote_(std::move(remote)),
      cancel_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      done_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

BackgroundFetch::~BackgroundFetch() { Cancel(); }

void BackgroundFetch::Cancel() {
  if (!thread_.joinable()) return;
  Raise(cancel_);
  thread_.join();
  Clear(cancel_);
  Clear(done_);
  job_.reset();
  failed_.clear();
}

void BackgroundFetch::Start(const RuntimeClass& entry, const Config& config) {
  if (thread_.joinable()) thread_.join();  // it has done
  job_ = Job{entry, config, std::nullopt};
  thread_ = std::thread([this, entry, config] {
    absl::StatusOr<Recipe> result = remote_(entry, config);
    const std::lock_guard lock(mutex_);
    job_->result = std::move(result);
    Raise(done_);
  });
}

// The same until it has come, so that nobody tells the same trouble twice.
absl::Status BackgroundFetch::Awaited(const RuntimeClass& entry) const {
  const auto failed = failed_.find(entry.name);
  return failed == failed_.end() ? absl::UnavailableError("its artefacts are being fetched")
                                 : failed->second;
}

absl::StatusOr<Recipe> BackgroundFetch::Fetch(const RuntimeClass& entry, const Config& config) {
  Clear(done_);
  bool is_outdated = false;
  {
    const std::lock_guard lock(mutex_);
    is_outdated = job_ && job_->config != config;
    if (job_ && !is_outdated && job_->entry == entry) {
      if (!job_->result) return Awaited(entry);
      absl::StatusOr<Recipe> result = *std::move(job_->result);
      job_.reset();
      if (!result.ok()) failed_[entry.name] = result.status();
      return result;
    }
  }
  if (is_outdated) Cancel();
  auto here = local_(entry, config);
  const std::lock_guard lock(mutex_);
  if (!absl::IsUnavailable(here.status())) {
    failed_.erase(entry.name);
    return here;
  }
  if (job_) {
    return failed_.contains(entry.name)
               ? Awaited(entry)
               : Error(absl::StatusCode::kUnavailable,
                       "its artefacts are fetched after those of {}", job_->entry.name);
  }
  Start(entry, config);
  return Awaited(entry);
}

}  // namespace gpuhost::kata_manager::artifacts
