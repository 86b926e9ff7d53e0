// SPDX-License-Identifier: Apache-2.0
#include "test/vgpu/proxy.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>

#include "test/fake/fake_clock.h"

using namespace gpuhost;

namespace {

// What QEMU does at its end of the socket.
class Peer {
 public:
  Peer() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    socket_ = UniqueFd(ends[0]);
    server_ = std::thread([this, fd = ends[1]] { vgpu::ServeProxy(gpu, UniqueFd(fd)); });
  }
  ~Peer() {
    socket_ = UniqueFd();
    server_.join();
  }

  uint32_t ReadConfig(uint32_t offset, int32_t length) {
    return static_cast<uint32_t>(Call(3, Config{offset, 0, length}));
  }
  void WriteConfig(uint32_t offset, uint32_t value, int32_t length) {
    Call(2, Config{offset, value, length});
  }
  uint64_t ReadBar(uint64_t address, uint32_t size) { return Call(5, Bar{address, 0, size, 1}); }
  void WriteBar(uint64_t address, uint64_t value) { Call(4, Bar{address, value, 4, 1}); }
  void Reset() { Call(7, uint64_t{0}); }

  template <typename T>
  void Send(int32_t command, const T& payload, uint64_t size = sizeof(T)) {
    struct {
      int32_t command, padding;
      uint64_t size;
    } const header{command, 0, size};
    REQUIRE(::send(socket_.get(), &header, sizeof header, MSG_NOSIGNAL) == sizeof header);
    REQUIRE(::send(socket_.get(), &payload, sizeof payload, MSG_NOSIGNAL) == sizeof payload);
  }
  // The value of the next reply; nothing when the other end has closed.
  std::optional<uint64_t> Reply() {
    struct {
      int32_t command, padding;
      uint64_t size, value;
    } reply{};
    if (::recv(socket_.get(), &reply, sizeof reply, MSG_WAITALL) != sizeof reply) return {};
    CHECK(reply.command == 1);
    CHECK(reply.size == 8);
    return reply.value;
  }
  int socket() const { return socket_.get(); }

  fake::FakeClock clock;
  vgpu::VirtualGpu gpu{*vgpu::FindBoard("h100-pcie"), clock, std::chrono::seconds(1)};

 private:
  struct Config {
    uint32_t offset, value;
    int32_t length;
  };
  struct Bar {
    uint64_t address, value;
    uint32_t size;
    uint8_t is_memory;
  };
  template <typename T>
  uint64_t Call(int32_t command, const T& payload) {
    Send(command, payload);
    const auto value = Reply();
    REQUIRE(value);
    return *value;
  }

  UniqueFd socket_;
  std::thread server_;
};

size_t OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

}  // namespace

TEST_CASE("the proxy serves configuration space and BAR0 where the bus has put it") {
  Peer peer;
  CHECK(peer.ReadConfig(0, 4) == 0x233110de);
  peer.WriteConfig(0x10, 0xfd000000, 4);
  peer.WriteConfig(0x04, 2, 2);
  CHECK(peer.ReadBar(0xfd000000, 4) == 0x180000a1);
  CHECK(peer.ReadBar(0xfd000003, 1) == 0x18);
  CHECK(peer.ReadBar(0xfc000000, 4) == 0);  // somebody else's
  CHECK(peer.ReadBar(0xfe000000, 4) == 0);
  peer.WriteBar(0xfd8f2c14, 2048 + 8);
  CHECK(peer.ReadBar(0xfd8f2c14, 4) == 2048 + 8);
  peer.Reset();
  CHECK(peer.gpu.counters().resets == 1);
  CHECK(peer.ReadConfig(0x10, 4) == 0);
}

TEST_CASE("descriptors that come along are closed, and such messages have no reply") {
  Peer peer;
  peer.ReadConfig(0, 4);  // serving
  const size_t before = OpenDescriptors();
  struct {
    int32_t command = 6, padding = 0;
    uint64_t size = 0;
  } header;
  iovec part{&header, sizeof header};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(2 * sizeof(int));
  const std::array<int, 2> descriptors{peer.socket(), peer.socket()};
  std::memcpy(CMSG_DATA(rights), descriptors.data(), sizeof descriptors);
  REQUIRE(::sendmsg(peer.socket(), &message, 0) == sizeof header);

  CHECK(peer.ReadConfig(0, 2) == 0x10de);  // the next reply belongs to the next request
  CHECK(OpenDescriptors() == before);
}

TEST_CASE("a message of senseless size ends the service, nothing else") {
  Peer peer;
  peer.Send(3, uint64_t{0}, uint64_t{1} << 40);
  CHECK_FALSE(peer.Reply());
}

TEST_CASE("a message shorter than its command needs reads as zeros") {
  Peer peer;
  peer.Send(3, uint8_t{0}, 1);
  CHECK(peer.Reply() == 0);  // a read of length 0
}
