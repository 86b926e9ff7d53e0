// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/attestation.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace gpuhost::gpuhostctl {
namespace {

constexpr const char* kKernelParameters = "io.katacontainers.config.hypervisor.kernel_params";
constexpr const char* kInitDataAnnotation = "io.katacontainers.config.hypervisor.cc_init_data";

std::string KernelParameters(const std::string& kbs_url) {
  return "agent.aa_kbc_params=cc_kbc::" + kbs_url;
}

std::string InitData(const std::string& kbs_url) {
  return fmt::format(R"(version = "0.1.0"
algorithm = "sha256"

[data]
"aa.toml" = '''
[token_configs]
[token_configs.kbs]
url = "{0}"
'''
"cdh.toml" = '''
[kbc]
name = "cc_kbc"
url = "{0}"
'''
)",
                     kbs_url);
}

constexpr const char* kTrustee =
    "[attestation_service.verifier_config.nvidia_verifier]\n"
    "type = \"Remote\"\n";

// Only a GPU whose memory is protected has evidence to give that a verifier accepts.
bool CanProve(const Row& row) { return row.mode == "on" || row.mode == "ppcie"; }

std::string Indented(std::string_view text) {
  std::string indented;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    indented += line.empty() ? "\n" : fmt::format("    {}\n", line);
    start = end + 1;
  }
  return indented;
}

}  // namespace

std::string RenderAttestation(std::span<const Row> rows, const std::string& kbs_url) {
  std::string text = "Devices of this node\n";
  for (const Row& row : rows) {
    text += fmt::format("    {} {}: {}\n", row.bdf, row.model,
                        CanProve(row) ? "can prove what it is"
                        : row.mode.empty()
                            ? "mode unknown"
                            : fmt::format("in mode {}, so no verifier will accept it", row.mode));
  }
  text += fmt::format(
      "\nThe pod, with a runtime class of the Go runtime: an annotation\n    {}: \"{}\"\n",
      kKernelParameters, KernelParameters(kbs_url));
  text += fmt::format(
      "\nThe pod, with a runtime class of the Rust runtime, which refuses that\n"
      "annotation: the text below, compressed and encoded\n"
      "(gzip -c init-data.toml | base64 -w0), as annotation\n    {}\n\n{}",
      kInitDataAnnotation, Indented(InitData(kbs_url)));
  text +=
      fmt::format("\nTrustee's configuration (with docker compose: kbs/config/as-config.json)\n{}",
                  Indented(kTrustee));
  text +=
      "\nThe remote verifier asks NVIDIA's attestation service, which needs its licence\n"
      "agreement. Attestation makes the GPU ready by itself: the kernel parameter\n"
      "nvrc.smi.srs=1 is not needed then. containerd has to let io.katacontainers.*\n"
      "annotations through; 'gpuhostctl doctor' tells whether it does.\n";
  return text;
}

std::string RenderAttestationJson(std::span<const Row> rows, const std::string& kbs_url) {
  using nlohmann::ordered_json;
  ordered_json able = ordered_json::array();
  for (const Row& row : rows) {
    if (CanProve(row)) able.push_back(row.bdf);
  }
  const ordered_json json{{"schema", 1},
                          {"kbs_url", kbs_url},
                          {"pod_annotation", {{kKernelParameters, KernelParameters(kbs_url)}}},
                          {"init_data", InitData(kbs_url)},
                          {"trustee", kTrustee},
                          {"able", able}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace gpuhost::gpuhostctl
