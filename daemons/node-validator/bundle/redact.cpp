// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/bundle/redact.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <sstream>

#include "daemons/node-validator/observe/host.h"
#include "daemons/node-validator/observe/value.h"

namespace gpuhost::node_validator {
namespace {

constexpr std::string_view kRemoved = "removed";

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

// Keys whose value is nobody's business.
bool SoundsSecret(std::string_view key) {
  constexpr auto kWords = std::to_array<std::string_view>(
      {"auth", "token", "passw", "secret", "credential", "header", "cookie", "apikey", "api_key",
       "private", "username", "env", "registry", "mirror", "certificate", "kbc", "proxy_url"});
  const std::string lower = Lower(key);
  if (lower == "key" || lower.ends_with("_key") || lower.ends_with("-key")) return true;
  return std::ranges::any_of(
      kWords, [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

void Clean(Value& value, std::string_view key) {
  if (SoundsSecret(key)) {
    value = Value(std::string(kRemoved));
  } else if (Value::Table* table = value.AsTable()) {
    for (auto& [name, member] : *table) Clean(member, name);
  } else if (auto* list = std::get_if<Value::List>(&value.data)) {
    for (Value& member : *list) Clean(member, key);
  } else if (auto* text = std::get_if<std::string>(&value.data)) {
    *text = RedactText(*text);
    // Keys and certificates are long; what the checks read is not, but for the verity parameters.
    if (text->size() > 400) *text = kRemoved;
  }
}

// A word of a command line: whole where its name is known, else its name alone.
template <typename Names>
std::string CleanWord(const std::string& word, const Names& known) {
  const size_t equals = word.find('=');
  const std::string name = word.substr(0, equals);
  const bool keep = std::ranges::any_of(known, [&](std::string_view one) { return name == one; });
  if (keep) return RedactText(word);
  if (equals != std::string::npos) return name + "=" + std::string(kRemoved);
  return name.starts_with('-') ? name : std::string(kRemoved);
}

std::string CleanKernelLine(const std::string& content) {
  constexpr auto kKnown = std::to_array<std::string_view>({"iommu",
                                                           "iommu.passthrough",
                                                           "amd_iommu",
                                                           "intel_iommu",
                                                           "kvm_amd.sev",
                                                           "kvm_amd.sev_es",
                                                           "kvm_amd.sev_snp",
                                                           "kvm_intel.tdx",
                                                           "kvm.enable_virt_at_load",
                                                           "mem_encrypt",
                                                           "noiommu",
                                                           "ro",
                                                           "quiet",
                                                           "pcie_acs_override",
                                                           "modprobe.blacklist",
                                                           "vfio-pci.ids",
                                                           "hugepages",
                                                           "hugepagesz",
                                                           "lockdown",
                                                           "pci"});
  std::string line;
  for (const std::string& word : SplitCommandLine(content)) {
    line += (line.empty() ? "" : " ") + CleanWord(word, kKnown);
  }
  return line + "\n";
}

// Arguments that are values of an option before them are kept only after those.
std::string CleanProcessLine(const std::string& content) {
  constexpr auto kKnown = std::to_array<std::string_view>(
      {"--config", "--config-dir", "--root-dir", "--feature-gates", "--runtime-request-timeout",
       "--cgroup-driver", "-c", "-a", "--address"});
  std::string line;
  std::istringstream words(content);
  bool first = true, keep_next = false;
  for (std::string word; std::getline(words, word, '\0');) {
    const bool known = std::ranges::count(kKnown, word) > 0;
    line += first || keep_next ? RedactText(word) : CleanWord(word, kKnown);
    line += '\0';
    keep_next = known;
    first = false;
  }
  return line;
}

std::string CleanUnit(const std::string& content) {
  constexpr auto kKnown =
      std::to_array<std::string_view>({"KillMode", "Restart", "RestartSec", "Delegate", "Type",
                                       "LimitMEMLOCK", "TasksMax", "LimitNOFILE"});
  std::string text;
  std::istringstream lines(content);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) text += line + "\n";
    const std::string name = line.substr(0, line.find('='));
    if (std::ranges::count(kKnown, name) > 0) text += line + "\n";
  }
  return text;
}

// Which resources the kubelet has, and nothing of the pods that have them.
std::optional<std::string> CleanCheckpoint(const std::string& content) {
  const auto value = ParseJson(content);
  if (!value.ok()) return std::nullopt;
  Value::Table data;
  data["RegisteredDevices"] = Value(value->TableAt({"Data", "RegisteredDevices"}));
  Value::Table document;
  document["Data"] = Value(std::move(data));
  return RenderJson(Value(std::move(document)));
}

template <typename Parse, typename Render>
std::optional<std::string> CleanDocument(const std::string& content, Parse parse, Render render) {
  auto value = parse(content);
  if (!value.ok()) return std::nullopt;
  Clean(*value, "");
  return render(*value);
}

bool IsWordOfToken(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.' ||
         c == '+' || c == '/' || c == '=' || c == '~';
}

}  // namespace

std::string RedactText(const std::string& text) {
  std::string clean = text;
  // scheme://user:password@host
  for (size_t at = clean.find("://"); at != std::string::npos; at = clean.find("://", at + 3)) {
    const size_t end = std::min(clean.find_first_of("/ \"'\n", at + 3), clean.size());
    const size_t sign = clean.rfind('@', end - 1);
    if (sign == std::string::npos || sign < at + 3 || sign >= end) continue;
    clean.replace(at + 3, sign - at - 3, kRemoved);
  }
  // "Bearer ...", "Basic ...", and JSON Web Tokens.
  for (const std::string_view mark : {"Bearer ", "bearer ", "Basic ", "eyJ"}) {
    for (size_t at = clean.find(mark); at != std::string::npos; at = clean.find(mark, at + 1)) {
      const size_t start = mark == "eyJ" ? at : at + mark.size();
      size_t end = start;
      while (end < clean.size() && IsWordOfToken(clean[end])) ++end;
      if (end - start >= 8) clean.replace(start, end - start, kRemoved);
    }
  }
  // name=value and name: value under a name that sounds of a secret.
  for (const std::string_view name :
       {"password", "passwd", "token", "secret", "aa_kbc_params", "apikey"}) {
    for (size_t at = Lower(clean).find(name); at != std::string::npos;
         at = Lower(clean).find(name, at + 1)) {
      size_t start = at + name.size();
      while (start < clean.size() && (clean[start] == '"' || clean[start] == ' ')) ++start;
      if (start >= clean.size() || (clean[start] != '=' && clean[start] != ':')) continue;
      ++start;
      while (start < clean.size() && (clean[start] == '"' || clean[start] == ' ')) ++start;
      const size_t end = std::min(clean.find_first_of(" \"'\n,;", start), clean.size());
      clean.replace(start, end - start, kRemoved);
    }
  }
  const size_t pem = clean.find("-----BEGIN");
  return pem == std::string::npos ? clean : clean.substr(0, pem) + std::string(kRemoved) + "\n";
}

bool LooksSecret(std::string_view text) {
  const std::string whole(text);
  return RedactText(whole) != whole;
}

std::optional<std::string> Redact(std::string_view path, const std::string& content) {
  const auto is = [path](std::string_view end) { return path.ends_with(end); };
  if (path == "/proc/cmdline") return CleanKernelLine(content);
  if (path.starts_with("/proc/") && is("/cmdline")) return CleanProcessLine(content);
  if (is("kubelet_internal_checkpoint")) return CleanCheckpoint(content);
  if (is(".toml")) return CleanDocument(content, ParseToml, RenderToml);
  if (is(".json")) return CleanDocument(content, ParseJson, RenderJson);
  const bool yaml =
      is(".yaml") || is(".yml") ||
      (is(".conf") && !path.starts_with("/etc/systemd") && path.find("/systemd/") == path.npos);
  if (yaml) return CleanDocument(content, ParseYaml, RenderJson);
  if (path.find("/systemd/system/") != path.npos) return CleanUnit(content);
  constexpr auto kPlain = std::to_array<std::string_view>(
      {"/proc/cpuinfo", "/proc/meminfo", "/proc/modules", "/proc/stat", "/etc/os-release"});
  const bool plain = std::ranges::count(kPlain, path) > 0 || path.starts_with("/sys/") ||
                     path.starts_with("/proc/sys/kernel/") || path.starts_with("/boot/config-") ||
                     path.starts_with("/run/nvidia/validations/") ||
                     (path.starts_with("/lib/modules/") && is("modules.builtin")) ||
                     (path.starts_with("/proc/") && (is("/comm") || is("/stat") || is("/limits")));
  if (!plain) return std::nullopt;
  return content;
}

}  // namespace gpuhost::node_validator
