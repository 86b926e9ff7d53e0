// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/rehearsal.h"

#include <algorithm>

#include "daemons/kata-manager/names.h"
#include "libgpuhost/base/command.h"
#include "libgpuhost/base/quote.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

constexpr Duration kLimit = std::chrono::seconds(10);

std::string Directory(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The files that a pattern of the main file has read, but for ours. It is looked at where this
// program sees the main file's directory.
std::vector<std::string> Others(const HostFs& fs, const Location& where,
                                const std::string& pattern) {
  const std::string seen = Directory(pattern), here = HereOf(where, seen);
  std::vector<std::string> paths;
  for (const std::string& name : fs.List(here).value_or(std::vector<std::string>())) {
    const std::string path = fmt::format("{}/{}", seen, name);
    if (Covers(pattern, path) && path != OwnFileSeen(where)) paths.push_back(path);
  }
  return paths;
}

// A main file that means elsewhere what `main` means in its place, with our file at `own`.
absl::StatusOr<std::string> Copy(const HostFs& fs, const Observed& observed,
                                 const std::optional<std::string>& main, bool has_own,
                                 const std::string& own) {
  const Location& where = observed.where;
  // What containerd has where there is no file.
  const bool imports_by_itself = !observed.version || *observed.version >= Version{2, 2};
  const bool is_old = observed.version && *observed.version < Version{2, 0};
  const std::string text = main.value_or(
      imports_by_itself
          ? fmt::format("version = 3\nimports = [\"{}/conf.d/*.toml\"]\n", where.directory)
          : fmt::format("version = {}\n", is_old ? 2 : 3));
  GPUHOST_ASSIGN(const MainFile parsed, ReadMainFile(where.main, text));
  if (!parsed.array) return text;
  std::vector<std::string> imports;
  for (const Import& import : parsed.imports) {
    const std::string path = Absolute(where, import.value);
    if (!Covers(path, OwnFileSeen(where))) {
      imports.push_back(Quoted(path));
      continue;
    }
    if (path != OwnFileSeen(where)) {
      for (const std::string& other : Others(fs, where, path)) imports.push_back(Quoted(other));
    }
    if (has_own) imports.push_back(Quoted(own));
  }
  return text.substr(0, parsed.array->begin) + fmt::format("[{}]", fmt::join(imports, ", ")) +
         text.substr(parsed.array->end);
}

absl::StatusOr<Flat> DumpOf(HostFs& fs, const Program& program, const Observed& observed,
                            const std::optional<std::string>& main,
                            const std::optional<std::string>& file, const std::string& scratch) {
  const std::string own = scratch + "/own.toml", copy = scratch + "/main.toml";
  GPUHOST_ASSIGN(const std::string text, Copy(fs, observed, main, file.has_value(), own));
  GPUHOST_TRY(fs.MakeDirectories(scratch));
  GPUHOST_TRY(fs.WriteFileAtomic(own, file.value_or(""), 0600));
  GPUHOST_TRY(fs.WriteFileAtomic(copy, text, 0600));
  const auto said = program.dump(copy);
  GPUHOST_TRY(fs.RemoveTree(scratch));
  if (!said.ok()) return said.status();
  return Flatten("containerd config dump", *said);
}

// What `path` is after the plan.
std::optional<std::string> After(const Plan& plan, const std::string& path,
                                 std::optional<std::string> now) {
  for (const FileChange& change : plan.changes) {
    if (change.path == path) now = change.after;
  }
  return now;
}

}  // namespace

absl::StatusOr<Program> FindProgram(const HostFs& host, const Location& where,
                                    const std::string& host_root) {
  GPUHOST_TRY(where.program_problem);
  const bool is_elsewhere = host_root != "/" && !host_root.empty();
  const auto found = std::ranges::find_if(
      where.programs, [&](const std::string& path) { return host.Exists(path); });
  if (found == where.programs.end()) {
    return Error(absl::StatusCode::kNotFound, "no containerd at {}; is it installed?",
                 fmt::join(where.programs, ", "));
  }
  const auto run = [path = *found, host_root, is_elsewhere](std::vector<std::string> arguments) {
    Command command{.path = path, .arguments = std::move(arguments)};
    command.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    if (is_elsewhere) {
      command.arguments.insert(command.arguments.begin(), {host_root, path});
      command.path = "/usr/sbin/chroot";
    }
    return OutputOf(kLimit, command);
  };
  return Program{[run] { return run({"--version"}); },
                 [run](const std::string& main) {
                   return run({"-c", main, "config", "dump"});
                 }};
}

absl::StatusOr<Flat> DumpWithoutUs(HostFs& fs, const Program& program, const Observed& observed,
                                   const std::string& scratch) {
  GPUHOST_ASSIGN(const auto main, MainWithoutUs(observed));
  return DumpOf(fs, program, observed, main, std::nullopt, scratch);
}

namespace {

// k0s adds tables to its own, which no import does: what is asked is whether this containerd knows
// ours beside another handler.
absl::StatusOr<bool> RehearseMerged(HostFs& fs, const Program& program, const Observed& observed,
                                    const Plan& plan, const std::string& scratch) {
  GPUHOST_ASSIGN(const MainFile merged,
                 ReadMainFile(observed.where.merged, observed.merged.value_or("version = 2\n")));
  GPUHOST_ASSIGN(const std::string plugin, PluginId(merged.version));
  const Handler other{.name = "runc",
                      .keys = {{"runtime_type", "\"io.containerd.runc.v2\""}},
                      .options = {},
                      .snapshotter = ""};
  const std::string base =
      fmt::format("version = {}\n{}", merged.version, RenderHandlers({other}, plugin));
  Observed alone = observed;
  alone.main = base;
  GPUHOST_ASSIGN(const Flat before, DumpOf(fs, program, alone, base, std::nullopt, scratch));
  GPUHOST_ASSIGN(const Flat after,
                 DumpOf(fs, program, alone, base + RenderHandlers(plan.handlers, plugin),
                        std::nullopt, scratch));
  GPUHOST_TRY(CheckEffect(before, after, plan.handlers, plan.ours));
  return true;
}

}  // namespace

absl::StatusOr<bool> Rehearse(HostFs& fs, const Program& program, const Observed& observed,
                              const Plan& plan, const std::string& scratch) {
  if (plan.merged) return RehearseMerged(fs, program, observed, plan, scratch);
  GPUHOST_ASSIGN(Flat before, DumpOf(fs, program, observed, observed.main, observed.file, scratch));
  const auto main = After(plan, observed.where.main, observed.main);
  const auto file = After(plan, observed.where.file, observed.file);
  auto after = DumpOf(fs, program, observed, main, file, scratch);
  if (!after.ok()) {
    return Annotate(after.status(), "containerd would not start with the new configuration");
  }
  GPUHOST_TRY(CheckEffect(before, *after, plan.handlers, plan.ours));
  const auto is_noise = [](const auto& entry) { return entry.first.starts_with("imports"); };
  std::erase_if(before, is_noise);
  std::erase_if(*after, is_noise);
  return before != *after;
}

}  // namespace gpuhost::kata_manager::containerd
