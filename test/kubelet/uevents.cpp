// SPDX-License-Identifier: Apache-2.0
#include "test/kubelet/uevents.h"

#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "libgpuhost/base/status.h"

namespace gpuhost::kubelet {

absl::StatusOr<Uevents> Uevents::Isolate() {
  if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
    return ErrnoStatus(errno, "enter a network namespace of its own");
  }
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
  if (!fd) return ErrnoStatus(errno, "open a socket for uevents");
  return Uevents(std::move(fd));
}

absl::Status Uevents::SendBind(const std::string& bdf) const {
  const std::string path = "/devices/pci0000:00/" + bdf;
  std::string text;
  for (const std::string& field :
       {"bind@" + path, std::string("ACTION=bind"), "DEVPATH=" + path, std::string("SUBSYSTEM=pci"),
        "PCI_SLOT_NAME=" + bdf, std::string("DRIVER=vfio-pci")}) {
    text.append(field).push_back('\0');
  }
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(text.size()));
  header.nlmsg_flags = NLM_F_REQUEST;
  header.nlmsg_type = NLMSG_MIN_TYPE;
  std::vector<char> message(NLMSG_SPACE(text.size()));
  std::memcpy(message.data(), &header, sizeof header);
  std::memcpy(message.data() + NLMSG_HDRLEN, text.data(), text.size());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(fd_.get(), message.data(), message.size(), 0,
               reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) {
    return ErrnoStatus(errno, "send a uevent");
  }
  return absl::OkStatus();
}

}  // namespace gpuhost::kubelet
