// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/proxy.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstring>
#include <optional>
#include <vector>

namespace gpuhost::vgpu {
namespace {

enum class Command : int32_t {
  kSyncSystemMemory = 0,  // carries descriptors of guest memory; no reply
  kReturn = 1,
  kConfigWrite = 2,
  kConfigRead = 3,
  kBarWrite = 4,
  kBarRead = 5,
  kSetIrqFd = 6,  // carries descriptors; no reply
  kDeviceReset = 7,
};

struct Header {
  Command command;
  int32_t padding;
  uint64_t size;  // of the payload
};
static_assert(sizeof(Header) == 16);

struct ConfigAccess {
  uint32_t offset, value;
  int32_t length;
};

struct BarAccess {
  uint64_t address, value;
  uint32_t size;
  uint8_t is_memory;
};

struct Message {
  Command command;
  std::vector<uint8_t> payload;
};

// Reads exactly `size` bytes and closes descriptors that come along: the model does no DMA and
// raises no interrupts. False when the peer is gone.
bool ReceiveExactly(int socket, void* buffer, size_t size) {
  size_t done = 0;
  while (done < size) {
    iovec part{static_cast<uint8_t*>(buffer) + done, size - done};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        UniqueFd closed(fd);
      }
    }
  }
  return true;
}

std::optional<Message> Receive(int socket) {
  constexpr uint64_t kMaxPayload = 4096;
  Header header{};
  if (!ReceiveExactly(socket, &header, sizeof header) || header.size > kMaxPayload) {
    return std::nullopt;
  }
  Message message{header.command, std::vector<uint8_t>(header.size)};
  if (!ReceiveExactly(socket, message.payload.data(), message.payload.size())) return std::nullopt;
  return message;
}

bool Reply(int socket, uint64_t value) {
  struct {
    Header header;
    uint64_t value;
  } const reply{{Command::kReturn, 0, sizeof value}, value};
  return ::send(socket, &reply, sizeof reply, MSG_NOSIGNAL) == sizeof reply;
}

template <typename T>
T As(const Message& message) {
  T value{};
  std::memcpy(&value, message.payload.data(), std::min(sizeof value, message.payload.size()));
  return value;
}

// Addresses are the guest's, for the function's BARs have been placed by then. Only BAR0 is
// modelled.
std::optional<uint32_t> OffsetInBar0(const VirtualGpu& gpu, uint64_t address) {
  const uint64_t base = gpu.bar0();
  if (address < base || address - base >= gpu.board().bar0_size) return std::nullopt;
  return static_cast<uint32_t>(address - base);
}

uint64_t ReadBar(VirtualGpu& gpu, const BarAccess& access) {
  const auto offset = OffsetInBar0(gpu, access.address);
  if (!offset) return 0;
  const uint32_t word = gpu.ReadBar0(*offset & ~3u);
  return access.size >= 4 ? word : word >> (8 * (*offset & 3)) & ((1u << (8 * access.size)) - 1);
}

}  // namespace

void ServeProxy(VirtualGpu& gpu, UniqueFd socket) {
  while (const auto message = Receive(socket.get())) {
    uint64_t value = 0;
    switch (message->command) {
      case Command::kConfigRead: {
        const auto access = As<ConfigAccess>(*message);
        value = gpu.ReadConfig(access.offset, static_cast<uint32_t>(access.length));
        break;
      }
      case Command::kConfigWrite: {
        const auto access = As<ConfigAccess>(*message);
        gpu.WriteConfig(access.offset, static_cast<uint32_t>(access.length), access.value);
        break;
      }
      case Command::kBarRead:
        value = ReadBar(gpu, As<BarAccess>(*message));
        break;
      case Command::kBarWrite: {
        const auto access = As<BarAccess>(*message);
        if (const auto offset = OffsetInBar0(gpu, access.address)) {
          gpu.WriteBar0(*offset, static_cast<uint32_t>(access.value));
        }
        break;
      }
      case Command::kDeviceReset:
        gpu.BusReset();
        break;
      case Command::kSyncSystemMemory:
      case Command::kSetIrqFd:
      case Command::kReturn:
        continue;
    }
    if (!Reply(socket.get(), value)) return;
  }
}

}  // namespace gpuhost::vgpu
