// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/bundle/bundle.h"

#include <algorithm>
#include <cctype>
#include <ctime>

#include "daemons/common/service/version.h"
#include "daemons/node-validator/bundle/archive.h"
#include "daemons/node-validator/bundle/redact_text.h"
#include "daemons/node-validator/report/json.h"
#include "daemons/node-validator/report/text.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

std::string FolderOf(const Report& report) {
  std::string folder = "gpuhost-support-" + report.node;
  std::ranges::replace_if(
      folder, [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '.'; }, '-');
  return folder;
}

std::string Manifest(const Report& report, const CapturedTree& tree) {
  std::string text = fmt::format(
      "Support bundle of gpuhost {}, node {}.\n\n"
      "report.txt, report.json   what node-validator found\n"
      "tree/                     what it looked at: `node-validator --host-root tree` says the "
      "same\n"
      "logs/                     of gpuhost's services, where there are any\n\n"
      "Of configurations the keys are here, numbers and switches, and the texts that are checked; "
      "of\n"
      "command lines and units what is checked. In reports, answers and logs, what looks like a\n"
      "password, a token or a key says \"removed\". Large files are here in parts. Kubeconfigs,\n"
      "certificates and pods are not read at all. Look through it before you publish it.\n",
      service::kVersion, report.node);
  if (!tree.left_out.empty()) text += "\nLooked at, and its content not shown:\n";
  for (const std::string& path : tree.left_out) text += "  " + path + "\n";
  return text;
}

absl::Status AddTree(Archive& archive, const std::string& folder, const CapturedTree& tree) {
  for (const std::string& path : tree.directories) GPUHOST_TRY(archive.AddDirectory(folder + path));
  for (const auto& [path, file] : tree.files) {
    GPUHOST_TRY(archive.AddFile(folder + path, file.content, file.modified));
  }
  // Last, so that whoever unpacks the archive writes through none of them.
  for (const auto& [path, target] : tree.links) {
    if (!tree.files.contains(path)) GPUHOST_TRY(archive.AddLink(folder + path, target));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteBundle(const std::string& path, const Report& report, const CapturedTree& tree,
                         const Extras& extras) {
  GPUHOST_ASSIGN(Archive archive, Archive::Create(path));
  const std::string folder = FolderOf(report);
  const int64_t now = std::time(nullptr);
  const std::string text = RenderText(report, {.colour = false, .width = 100, .all = true});
  GPUHOST_TRY(archive.AddFile(folder + "/README", Manifest(report, tree), now));
  GPUHOST_TRY(archive.AddFile(folder + "/report.txt", RedactText(text), now));
  GPUHOST_TRY(archive.AddFile(folder + "/report.json", RedactText(RenderReportJson(report)), now));
  for (const auto& [name, content] : extras) {
    GPUHOST_TRY(archive.AddFile(folder + "/" + name, RedactText(content), now));
  }
  GPUHOST_TRY(AddTree(archive, folder + "/tree", tree));
  return archive.Finish();
}

}  // namespace gpuhost::node_validator
