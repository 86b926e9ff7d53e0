// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/tee.h"

#include <sstream>

#include "libgpuhost/base/parse.h"

namespace gpuhost::node_validator {
namespace {

constexpr const char* kQuoteSocket = "/var/run/tdx-qgs/qgs.socket";

}  // namespace

std::optional<uint64_t> MiscLine(const std::string& text, std::string_view name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key, number;
    words >> key >> number;
    if (key == name) return ParseDecimal(number);
  }
  return std::nullopt;
}

bool IsOn(const Known<std::string>& parameter) {
  return parameter.ok() && (parameter->starts_with("Y") || *parameter == "1");
}

TeeFacts ObserveTee(const Tree& tree, Questions& questions) {
  TeeFacts tee;
  tee.sev = tree.ReadLine("/sys/module/kvm_amd/parameters/sev");
  tee.sev_es = tree.ReadLine("/sys/module/kvm_amd/parameters/sev_es");
  tee.sev_snp = tree.ReadLine("/sys/module/kvm_amd/parameters/sev_snp");
  tee.tdx = tree.ReadLine("/sys/module/kvm_intel/parameters/tdx");
  tee.sev_device = LookAtDevice(tree, &questions, "/dev/sev");
  for (const std::string directory : {"/sys/fs/cgroup/", "/sys/fs/cgroup/misc/"}) {
    const auto capacity = tree.Read(directory + "misc.capacity");
    if (!capacity.ok()) continue;
    const std::string used = tree.Read(directory + "misc.current").value_or("");
    tee.capacity_known = true;
    tee.sev_es_ids = {MiscLine(*capacity, "sev_es"), MiscLine(used, "sev_es")};
    tee.tdx_keys = {MiscLine(*capacity, "tdx"), MiscLine(used, "tdx")};
    break;
  }
  const auto socket = tree.Look(kQuoteSocket);
  tee.quote_socket = socket.ok() && socket->kind == Kind::kSocket;
  if (tee.quote_socket) tee.quote_socket_answers = questions.Ask(Question::kConnects, kQuoteSocket);
  tee.sgx_enclave = tree.Exists("/dev/sgx_enclave");
  tee.sgx_provision = tree.Exists("/dev/sgx_provision");
  return tee;
}

}  // namespace gpuhost::node_validator
