// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/qemu_probe.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <sstream>

#include "daemons/node-validator/observe/value.h"
#include "libgpuhost/base/command.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::node_validator {
namespace {

// At `offset` of `bytes`; zeros where they end before.
template <typename T>
T At(std::string_view bytes, uint64_t offset) {
  T value{};
  if (offset <= bytes.size() && sizeof value <= bytes.size() - offset) {
    std::memcpy(&value, bytes.data() + offset, sizeof value);
  }
  return value;
}

// What the kernel starts in place of the program, as its first bytes say: after "#!", or in a
// segment of a 64-bit ELF file. Empty: nothing.
std::string InterpreterOf(const Tree& tree, const std::string& program) {
  const auto fd = tree.OpenFile(program);
  if (!fd.ok()) return "";
  std::string head(4096, '\0');
  head.resize(
      static_cast<size_t>(std::max<ssize_t>(::pread(fd->get(), head.data(), head.size(), 0), 0)));
  if (head.starts_with("#!")) {
    const size_t start = std::min(head.find_first_not_of(" \t", 2), head.size());
    return head.substr(start, head.find_first_of(" \t\n", start) - start);
  }
  if (!head.starts_with(ELFMAG)) return "";
  const auto header = At<Elf64_Ehdr>(head, 0);
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = At<Elf64_Phdr>(head, header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type != PT_INTERP || segment.p_offset >= head.size()) continue;
    const std::string name = head.substr(segment.p_offset, segment.p_filesz);
    return name.substr(0, name.find('\0'));
  }
  return "";
}

// As glibc's dynamic linker says that it is missing; empty: it says something else.
std::string MissingLibrary(const std::string& complaint) {
  constexpr std::string_view kMark = "error while loading shared libraries: ";
  const size_t mark = complaint.find(kMark);
  if (mark == std::string::npos) return "";
  const size_t start = mark + kMark.size();
  return complaint.substr(start, complaint.find(':', start) - start);
}

absl::Status Explain(const Tree& tree, const std::string& program, const absl::Status& why) {
  if (absl::IsNotFound(why) && tree.Exists(program)) {
    const std::string interpreter = InterpreterOf(tree, program);
    return Error(absl::StatusCode::kNotFound, "run {}: its interpreter {}is not there", program,
                 interpreter.empty() ? "" : interpreter + " ");
  }
  if (absl::IsPermissionDenied(why)) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "run {}: it may not be executed; is its file system mounted noexec?", program);
  }
  if (const std::string library = MissingLibrary(Text(why)); !library.empty()) {
    return Error(absl::StatusCode::kNotFound, "run {}: the library {} is not there", program,
                 library);
  }
  return why;
}

// Of the answer to query-version.
absl::StatusOr<std::string> VersionIn(const std::string& program, const std::string& said) {
  std::istringstream lines(said);
  for (std::string line; std::getline(lines, line);) {
    const auto answer = ParseJson(line);
    if (!answer.ok()) break;
    const auto number = [&](std::string_view part) {
      return answer->Integer({"return", "qemu", part});
    };
    const auto major = number("major"), minor = number("minor"), micro = number("micro");
    if (major && minor && micro) return fmt::format("{}.{}.{}", *major, *minor, *micro);
  }
  return Error(absl::StatusCode::kDataLoss, "run {}: what it says is no QMP, but '{}'", program,
               said.substr(0, 80));
}

}  // namespace

absl::StatusOr<std::string> ProbeQemu(const Tree& tree, const std::string& program,
                                      Duration limit) {
  const Command command{.path = program,
                        .arguments = {"-machine", "none", "-nodefaults", "-no-user-config",
                                      "-display", "none", "-S", "-qmp", "stdio"},
                        .environment = {},
                        .input =
                            "{\"execute\":\"qmp_capabilities\"}\n"
                            "{\"execute\":\"query-version\"}\n"
                            "{\"execute\":\"quit\"}\n"};
  const auto said = OutputOf(limit, command);
  if (!said.ok()) return Explain(tree, program, said.status());
  return VersionIn(program, *said);
}

}  // namespace gpuhost::node_validator
