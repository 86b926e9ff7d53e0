// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemons/node-validator/observe/host.h"

namespace gpuhost::node_validator {

// How many protected guests the processor can hold, and does.
// Source: the misc controller, Documentation/admin-guide/cgroup-v2.rst.
struct Capacity {
  std::optional<uint64_t> total, used;
};

// What KVM and the firmware say of confidential virtual machines.
struct TeeFacts {
  Known<std::string> sev, sev_es, sev_snp, tdx;  // parameters of kvm_amd and kvm_intel
  DeviceNode sev_device;
  bool capacity_known = false;  // there is a misc controller
  Capacity sev_es_ids, tdx_keys;
  bool quote_socket = false;  // /var/run/tdx-qgs/qgs.socket
  Known<std::string> quote_socket_answers = absl::UnavailableError("not asked");
  bool sgx_enclave = false, sgx_provision = false;
};

TeeFacts ObserveTee(const Tree& tree, Questions& questions);

// The number after exactly this word at the beginning of a line: `sev` is not `sev_es`.
std::optional<uint64_t> MiscLine(const std::string& text, std::string_view name);

// A kernel parameter that is on: "Y", or "1" as some kernels have it.
bool IsOn(const Known<std::string>& parameter);

}  // namespace gpuhost::node_validator
