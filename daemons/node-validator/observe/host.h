// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemons/node-validator/observe/questions.h"

namespace gpuhost::node_validator {

// Something that was asked for, or why it is not known.
template <typename T>
using Known = absl::StatusOr<T>;

struct Processor {
  std::string vendor;  // "AuthenticAMD", "GenuineIntel"
  std::string model;
  std::set<std::string> flags;
};

// A node below /dev: its numbers, or what stands there instead.
struct DeviceNode {
  absl::Status present;  // kNotFound, kFailedPrecondition: no character device
  Known<std::string> opens = absl::UnavailableError("not tried");
};

// The machine itself: processor, kernel, KVM, memory.
struct Host {
  Known<Processor> processor = absl::UnavailableError("not read");
  std::string os;  // "Ubuntu 25.10"
  std::string release;
  std::vector<std::string> command_line;
  Known<std::string> kernel_log = absl::UnavailableError("not read");
  std::set<std::string> modules;              // loaded or built in, with underscores
  std::set<std::string> loadable;             // those of vhost that modprobe would find
  std::map<std::string, std::string> config;  // CONFIG_... of the kernel; empty: unknown
  bool passthrough_by_default = false;        // CONFIG_IOMMU_DEFAULT_PASSTHROUGH=y
  bool superuser = true;
  DeviceNode kvm, vhost_net, vhost_vsock;
  Known<std::string> kvm_version = absl::UnavailableError("not asked");
  std::optional<uint64_t> memory_free;  // bytes, MemAvailable
  std::optional<uint64_t> huge_pages_free;
  std::string transparent_huge_pages;  // the whole line of `enabled`
};

Host ObserveHost(const Tree& tree, Questions& questions);

// Words of a kernel command line, quotes kept together. Source: Linux, lib/cmdline.c, next_arg.
std::vector<std::string> SplitCommandLine(std::string_view text);

// Opens it to see whether that is allowed, unless `questions` is nullptr: opening the static node
// of a module that is not loaded would load it.
DeviceNode LookAtDevice(const Tree& tree, Questions* questions, const std::string& path);

}  // namespace gpuhost::node_validator
