// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "daemons/kata-manager/config.h"
#include "daemons/kata-manager/generation.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::kata_manager::artifacts {

// Fetches beside the passes of a daemon, one artefact at a time, on a thread of its own.
class BackgroundFetch {
 public:
  using FetchClass =
      std::function<absl::StatusOr<Recipe>(const RuntimeClass& entry, const Config& config)>;
  // `local` answers at once, kUnavailable where something has to be fetched; `remote` may take
  // hours and ends with kCancelled soon after cancel_fd() has become readable.
  BackgroundFetch(FetchClass local, FetchClass remote);
  ~BackgroundFetch();

  int cancel_fd() const { return cancel_.get(); }
  // Readable when a fetch has come to its end: then it is time to ask again.
  int done_fd() const { return done_.get(); }

  // What is here; else what has come; else kUnavailable says what is awaited, or the error of the
  // last try what was wrong with that, and it is on its way from then on. A fetch for another
  // configuration is cancelled.
  absl::StatusOr<Recipe> Fetch(const RuntimeClass& entry, const Config& config);
  // Ends the fetch that is under way; what came is kept for the next one.
  void Cancel();

 private:
  struct Job {
    RuntimeClass entry;
    Config config;
    std::optional<absl::StatusOr<Recipe>> result;  // empty: under way
  };
  void Start(const RuntimeClass& entry, const Config& config);
  absl::Status Awaited(const RuntimeClass& entry) const;

  const FetchClass local_, remote_;
  UniqueFd cancel_, done_;
  std::mutex mutex_;  // of the job
  std::optional<Job> job_;
  std::map<std::string, absl::Status> failed_;  // the last tries, by class; for one configuration
  std::thread thread_;
};

}  // namespace gpuhost::kata_manager::artifacts
