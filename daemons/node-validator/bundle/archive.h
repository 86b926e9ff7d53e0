// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <string_view>

struct archive;

namespace gpuhost::node_validator {

// A .tar.gz that is being written. The file comes into being when it is finished, readable to its
// owner alone; one that is there already is replaced. Errors name the file.
class Archive {
 public:
  static absl::StatusOr<Archive> Create(const std::string& path);
  Archive(Archive&&) = default;
  Archive& operator=(Archive&&) = delete;
  ~Archive();

  // `modified`: seconds since 1970.
  absl::Status AddFile(const std::string& name, std::string_view content, int64_t modified);
  absl::Status AddLink(const std::string& name, const std::string& target);
  absl::Status AddDirectory(const std::string& name);
  absl::Status Finish();

 private:
  struct Free {
    void operator()(archive* open) const;
  };
  explicit Archive(std::string path) : path_(std::move(path)), temporary_(path_ + ".part") {}
  absl::Status Trouble(std::string_view what) const;

  std::string path_, temporary_;
  std::unique_ptr<archive, Free> open_;
  bool finished_ = false;
};

}  // namespace gpuhost::node_validator
