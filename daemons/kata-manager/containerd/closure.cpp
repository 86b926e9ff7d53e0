// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/closure.h"

#include <fnmatch.h>

#include <deque>
#include <set>

#include "daemons/kata-manager/toml.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

constexpr size_t kMostFiles = 256;

std::string Directory(const std::string& path) { return path.substr(0, path.rfind('/')); }

class Reader {
 public:
  Reader(const HostFs& fs, const HostFs& host, const Location& where)
      : fs_(fs), host_(host), where_(where) {}

  absl::StatusOr<std::string> Read(const std::string& seen) const {
    return FsOf(seen).Read(HereOf(where_, seen));
  }

  // The files that an entry of `imports` stands for. To containerd only * makes a pattern.
  std::vector<std::string> Expand(const std::string& entry) const {
    if (entry.find('*') == std::string::npos) return {entry};
    std::vector<std::string> paths;
    const std::string seen = Directory(entry), here = HereOf(where_, seen);
    for (const std::string& name : FsOf(seen).List(here).value_or(std::vector<std::string>())) {
      const std::string path = fmt::format("{}/{}", seen, name);
      if (::fnmatch(entry.c_str(), path.c_str(), FNM_PATHNAME) == 0) paths.push_back(path);
    }
    return paths;
  }

 private:
  const HostFs& FsOf(const std::string& seen) const { return IsBeside(where_, seen) ? fs_ : host_; }

  const HostFs& fs_;
  const HostFs& host_;
  const Location& where_;
};

}  // namespace

std::vector<ReadFile> ReadClosure(const HostFs& fs, const HostFs& host, const Location& where) {
  const Reader reader(fs, host, where);
  const std::string main = SeenOf(where, where.main);
  std::deque<ReadFile> queue{{.path = main, .importer = "", .text = reader.Read(main)}};
  if (absl::IsNotFound(queue.front().text.status())) {  // then 2.2 and newer have a pattern
    queue.clear();
    for (const std::string& path : reader.Expand(where.directory + "/conf.d/*.toml")) {
      queue.push_back({path, "containerd itself", reader.Read(path)});
    }
  }
  std::vector<ReadFile> files;
  std::set<std::string> known;
  for (; !queue.empty() && files.size() < kMostFiles; queue.pop_front()) {
    if (!known.insert(queue.front().path).second) continue;
    files.push_back(std::move(queue.front()));
    const ReadFile& file = files.back();
    if (!file.text.ok()) continue;
    const auto parsed = ReadMainFile(file.path, *file.text);
    if (!parsed.ok()) continue;  // containerd itself is asked what it makes of that
    for (const Import& import : parsed->imports) {
      const std::string entry =
          import.value.starts_with('/') ? import.value : Directory(file.path) + "/" + import.value;
      for (const std::string& path : reader.Expand(entry)) {
        queue.push_back({path, file.path, reader.Read(path)});
      }
    }
  }
  return files;
}

absl::Status CheckImports(const std::vector<ReadFile>& closure, const std::string& but_for) {
  for (const ReadFile& file : closure) {
    if (file.text.ok() || file.path == but_for) continue;
    if (file.importer.empty()) return file.text.status();
    return Error(absl::StatusCode::kFailedPrecondition,
                 "containerd would not start with the files that are there now: {} imports {}, and "
                 "{}; take the entry out, or put the file there. It is not restarted before that",
                 file.importer, file.path, Text(file.text.status()));
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::kata_manager::containerd
