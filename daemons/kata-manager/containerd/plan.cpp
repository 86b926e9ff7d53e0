// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/containerd/plan.h"

#include <fnmatch.h>

#include <algorithm>

#include "daemons/kata-manager/containerd/splice.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager::containerd {
namespace {

constexpr Version kDeepMerge{2, 0};        // before, an import replaces the whole table of a plugin
constexpr Version kImportsByItself{2, 2};  // conf.d, where there is no main file
constexpr const char* kDefaultHandler = "runc";  // is lost in 1.x where another is named

constexpr std::string_view kOwnHeader =
    "# Written by gpuhost's kata-manager, which replaces and removes it.\n";
constexpr std::string_view kMadeHeader = "# Made by gpuhost's kata-manager, as there was none.\n";

std::string Directory(const std::string& path) { return path.substr(0, path.rfind('/')); }

// A main file for a node that has none.
std::string MadeMain(int schema) { return fmt::format("{}version = {}\n", kMadeHeader, schema); }

// Our file as the main file names it: relative to it where they are together, so that it holds also
// where this program sees the directory under another name.
std::string ImportName(const Location& where) {
  const std::string base = Directory(where.main) + "/";
  return where.file.starts_with(base) ? where.file.substr(base.size()) : where.file;
}

void Change(Plan& plan, const std::string& path, const std::optional<std::string>& before,
            const std::optional<std::string>& after) {
  if (before != after) plan.changes.push_back({path, before, after});
}

absl::Status PlanRemoval(const Observed& observed, Plan& plan) {
  GPUHOST_ASSIGN(const auto main, MainWithoutUs(observed));
  Change(plan, observed.where.main, observed.main, main);
  Change(plan, observed.where.file, observed.file, std::nullopt);
  return absl::OkStatus();
}

absl::Status PlanBlock(const Observed& observed, const std::string& plugin, Plan& plan) {
  const Location& where = observed.where;
  GPUHOST_ASSIGN(const auto bare, MainWithoutUs(observed));
  const auto others = NamesIn(bare.value_or(""));
  std::vector<Handler> handlers = plan.handlers;
  if (others.empty()) {
    const auto runc = HandlerIn(observed.bare, kDefaultHandler);
    if (runc) handlers.push_back(*runc);
  }
  GPUHOST_ASSIGN(const std::string main, WithBlock(where.main, bare.value_or(MadeMain(2)),
                                                   RenderHandlers(handlers, plugin)));
  Change(plan, where.main, observed.main, main);
  Change(plan, where.file, observed.file, std::nullopt);  // of a containerd before a downgrade
  return absl::OkStatus();
}

// What is to be said of the schema in a file of ours beside this main file, and that schema. One
// without a version is of schema 1, in which containerd 2.1.9 and 2.2.9 load no handler; beside it
// they take a file of schema 3. 2.3.7 takes one of schema 1, if it does not name it.
struct Schema {
  std::string text;
  int number = 0;
};
Schema SchemaBeside(const Observed& observed, const MainFile& main) {
  constexpr Version kTakesNone{2, 3};
  const bool silent = observed.main && !main.version_at;
  if (silent && *observed.version >= kTakesNone) return {"", main.version};
  const int number = silent ? 3 : main.version;
  return {fmt::format("version = {}\n", number), number};
}

// k0s takes what is below its directory into a file that it makes, and imports that (its
// documentation, "k0s managed dynamic runtime configuration"). Older versions append our file to
// it, so that it must not have a version.
absl::Status PlanMerged(const Observed& observed, Plan& plan) {
  constexpr std::string_view kManaged = "# k0s_managed=true";
  const Location& where = observed.where;
  if (observed.main && !observed.main->starts_with(kManaged)) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} does not begin with '{}', so that k0s leaves it and {} alone; import {} in "
                 "it",
                 where.main, kManaged, Directory(where.file), where.file);
  }
  GPUHOST_ASSIGN(const MainFile merged, ReadMainFile(where.merged, observed.merged.value_or("")));
  GPUHOST_ASSIGN(const std::string plugin, PluginId(merged.version_at ? merged.version : 2));
  Change(plan, where.file, observed.file,
         std::string(kOwnHeader) + RenderHandlers(plan.handlers, plugin));
  return absl::OkStatus();
}

// Whether the main file has our file read, by its name or a pattern.
bool IsImported(const Observed& observed, const MainFile& main) {
  return std::ranges::any_of(main.imports, [&](const Import& import) {
    return Covers(Absolute(observed.where, import.value), OwnFileSeen(observed.where));
  });
}

absl::Status PlanFile(const Observed& observed, const MainFile& main, Plan& plan) {
  const Location& where = observed.where;
  const Schema schema = SchemaBeside(observed, main);
  GPUHOST_ASSIGN(const std::string plugin, PluginId(schema.number));
  Change(plan, where.file, observed.file,
         std::string(kOwnHeader) + schema.text + RenderHandlers(plan.handlers, plugin));
  const bool is_imported = observed.main ? IsImported(observed, main)
                                         : where.editable && *observed.version >= kImportsByItself;
  if (!is_imported && !where.editable && !where.why_not.empty()) {
    return absl::FailedPreconditionError(where.why_not);
  }
  if (!is_imported && !where.editable) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is generated by {} and does not import {}; make it do so in its template",
                 where.main, where.flavor, Directory(where.file));
  }
  std::optional<std::string> text = observed.main;
  if (text && where.editable) text = WithoutBlock(*text);  // of a containerd before an upgrade
  if (!is_imported) {
    GPUHOST_ASSIGN(text, WithImport(where.main, text.value_or(MadeMain(3)), ImportName(where)));
  }
  Change(plan, where.main, observed.main, text);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<std::string>> MainWithoutUs(const Observed& observed) {
  const Location& where = observed.where;
  if (!observed.main || !where.editable) return observed.main;
  GPUHOST_ASSIGN(const std::string text,
                 WithoutImport(where.main, WithoutBlock(*observed.main), ImportName(where)));
  const bool made = text.starts_with(kMadeHeader) && (text == MadeMain(2) || text == MadeMain(3));
  return made ? std::nullopt : std::optional<std::string>(text);
}

absl::StatusOr<Version> ParseVersion(const std::string& said) {
  for (size_t dot = said.find('.'); dot != std::string::npos; dot = said.find('.', dot + 1)) {
    const size_t begin = dot == 0 ? 0 : said.find_last_not_of("0123456789", dot - 1) + 1;
    const size_t end = said.find_first_not_of("0123456789", dot + 1);
    if (end == std::string::npos || said[end] != '.') continue;
    const auto major = ParseDecimal(std::string_view(said).substr(begin, dot - begin), 999);
    const auto minor = ParseDecimal(std::string_view(said).substr(dot + 1, end - dot - 1), 999);
    const bool starts = begin == 0 || said[begin - 1] == ' ' || said[begin - 1] == 'v';
    if (major && minor && starts)
      return Version{static_cast<int>(*major), static_cast<int>(*minor)};
  }
  return Error(absl::StatusCode::kDataLoss, "containerd says '{}', in which there is no version",
               said);
}

absl::StatusOr<Observed> Observe(const HostFs& fs, const Location& where) {
  Observed observed{.where = where};
  GPUHOST_ASSIGN(observed.main, ReadIfThere(fs, where.main));
  GPUHOST_ASSIGN(observed.file, ReadIfThere(fs, where.file));
  if (!where.merged.empty()) {
    GPUHOST_ASSIGN(observed.merged, ReadIfThere(fs, where.merged));
  }
  return observed;
}

std::string Absolute(const Location& where, const std::string& import) {
  return import.starts_with('/') ? import : where.directory + "/" + import;
}

std::string OwnFileSeen(const Location& where) { return Absolute(where, ImportName(where)); }

bool Covers(const std::string& import, const std::string& path) {
  // To containerd * alone makes a pattern.
  if (import.find('*') == std::string::npos) return import == path;
  return ::fnmatch(import.c_str(), path.c_str(), FNM_PATHNAME) == 0;
}

absl::StatusOr<Plan> MakePlan(const Observed& observed, const std::vector<Handler>& handlers) {
  const Location& where = observed.where;
  Plan plan{.changes = {}, .handlers = handlers, .ours = NamesIn(observed.file.value_or(""))};
  const std::string main_text = observed.main.value_or("");
  for (const std::string& name : NamesIn(TablesInBlock(main_text))) plan.ours.push_back(name);
  std::erase(plan.ours, kDefaultHandler);
  for (const Handler& handler : handlers) plan.ours.push_back(handler.name);
  if (handlers.empty()) {
    plan.merged = !where.merged.empty();
    if (observed.file || !plan.ours.empty()) GPUHOST_TRY(PlanRemoval(observed, plan));
    return plan;
  }
  if (!observed.version) return absl::InternalError("the version of containerd is not known");
  const bool in_file = *observed.version < kDeepMerge;
  GPUHOST_ASSIGN(MainFile main, ReadMainFile(where.main, main_text));
  if (!where.merged.empty() && !IsImported(observed, main)) {
    plan.merged = true;
    GPUHOST_TRY(PlanMerged(observed, plan));
    return plan;
  }
  if (!observed.main) main.version = in_file ? 2 : 3;
  if (!in_file) {
    GPUHOST_TRY(PlanFile(observed, main, plan));
    return plan;
  }
  GPUHOST_ASSIGN(const std::string plugin, PluginId(main.version));
  if (!where.why_not.empty()) return absl::FailedPreconditionError(where.why_not);
  if (!where.editable) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is generated by {}, and containerd {}.{} cannot add to it by another file; "
                 "put these tables into its template:\n{}",
                 where.main, where.flavor, observed.version->major, observed.version->minor,
                 RenderHandlers(handlers, plugin));
  }
  GPUHOST_TRY(PlanBlock(observed, plugin, plan));
  return plan;
}

}  // namespace gpuhost::kata_manager::containerd
