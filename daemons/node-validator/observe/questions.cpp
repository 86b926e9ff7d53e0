// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/questions.h"

#include <algorithm>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

std::string_view NameOf(Question question) {
  switch (question) {
    case Question::kKernelLog:
      return "kernel-log";
    case Question::kKvmVersion:
      return "kvm-version";
    case Question::kOpens:
      return "opens";
    case Question::kFreeSpace:
      return "free-space";
    case Question::kVersion:
      return "version";
    case Question::kContainerdDump:
      return "containerd-dump";
    case Question::kRuntimeVersion:
      return "runtime-version";
    case Question::kSocketPeer:
      return "socket-peer";
    case Question::kConnects:
      return "connects";
    case Question::kPodResourcesGet:
      return "pod-resources-get";
    case Question::kRuntimeHandlers:
      return "runtime-handlers";
    case Question::kImageHash:
      return "image-hash";
    case Question::kQemu:
      return "qemu";
    case Question::kGpuMode:
      return "gpu-mode";
    case Question::kSuperuser:
      return "superuser";
  }
  return "";
}

// FNV-1a.
uint64_t Fingerprint(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

class Capture : public Questions {
 public:
  explicit Capture(const Tree& tree) : tree_(tree) {}

 private:
  absl::StatusOr<std::string> Find(Question question, const std::string& argument) override {
    const auto text = tree_.Read(fmt::format("{}/{}", kCapture, FileName(question, argument)));
    if (absl::IsNotFound(text.status())) {
      return absl::UnavailableError("it was not asked when this node was captured");
    }
    if (!text.ok()) return text.status();
    const size_t end = std::min(text->find('\n'), text->size());
    const std::string first = text->substr(0, end);
    if (first == "ok") return text->substr(std::min(end + 1, text->size()));
    const std::string why = first.starts_with("error ") ? first.substr(6) : first;
    const size_t blank = std::min(why.find(' '), why.size());
    const auto code = ParseDecimal(std::string_view(why).substr(0, blank), 16);
    if (!code || *code == 0) return absl::UnavailableError(why);
    return absl::Status(static_cast<absl::StatusCode>(*code),
                        why.substr(std::min(blank + 1, why.size())));
  }

  const Tree& tree_;
};

}  // namespace

std::string FileName(Question question, const std::string& argument) {
  std::string name(NameOf(question));
  if (!argument.empty()) name += "@" + argument;
  std::ranges::replace(name, '/', '%');
  std::ranges::replace(name, ' ', '+');
  // File systems take names of 255 bytes.
  constexpr size_t kLongest = 240, kKept = 200;
  if (name.size() <= kLongest) return name;
  return fmt::format("{}~{:016x}", name.substr(0, kKept), Fingerprint(name));
}

const absl::StatusOr<std::string>& Questions::Ask(Question question, const std::string& argument) {
  const std::string name = FileName(question, argument);
  const auto known = asked_.find(name);
  if (known != asked_.end()) return known->second;
  return asked_.emplace(name, Find(question, argument)).first->second;
}

std::unique_ptr<Questions> AskCapture(const Tree& tree) { return std::make_unique<Capture>(tree); }

std::string RenderAnswer(const absl::StatusOr<std::string>& answer) {
  if (answer.ok()) return "ok\n" + *answer;
  std::string why = Text(answer.status());
  std::ranges::replace(why, '\n', ' ');
  return fmt::format("error {} {}\n", static_cast<int>(answer.status().code()), why);
}

}  // namespace gpuhost::node_validator
