// SPDX-License-Identifier: Apache-2.0
//
// dead-filesystem DIRECTORY: mounts a FUSE file system with one file, `file`, and serves it until
// it is killed. Stopped by SIGSTOP it is a file system whose server does not answer.
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

constexpr uint64_t kFile = 2;  // node number; that of the root is FUSE_ROOT_ID

int device = -1;

void Answer(const fuse_in_header& request, int error, const void* body, size_t size) {
  std::array<char, 4096> message{};
  const fuse_out_header header{.len = static_cast<uint32_t>(sizeof(fuse_out_header) + size),
                               .error = -error,
                               .unique = request.unique};
  std::memcpy(message.data(), &header, sizeof header);
  if (size > 0) std::memcpy(message.data() + sizeof header, body, size);
  if (::write(device, message.data(), header.len) < 0) std::perror("dead-filesystem: answer");
}

template <typename Body>
void Answer(const fuse_in_header& request, const Body& body) {
  Answer(request, 0, &body, sizeof body);
}

fuse_attr AttributesOf(uint64_t node) {
  fuse_attr attributes{};
  attributes.ino = node;
  attributes.mode = node == kFile ? S_IFREG | 0644 : S_IFDIR | 0755;
  attributes.nlink = 1;
  return attributes;
}

// Nothing may be remembered, so that everything is asked of us.
void Serve(const fuse_in_header& request) {
  switch (request.opcode) {
    case FUSE_INIT: {
      fuse_init_out out{};
      out.major = FUSE_KERNEL_VERSION;
      out.minor = FUSE_KERNEL_MINOR_VERSION;
      out.max_write = 4096;
      return Answer(request, out);
    }
    case FUSE_LOOKUP: {
      fuse_entry_out out{};
      out.nodeid = kFile;
      out.attr = AttributesOf(kFile);
      return Answer(request, out);
    }
    case FUSE_GETATTR: {
      fuse_attr_out out{};
      out.attr = AttributesOf(request.nodeid);
      return Answer(request, out);
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR:
      return Answer(request, fuse_open_out{});
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return;
    default:
      return Answer(request, ENOSYS, nullptr, 0);
  }
}

}  // namespace

int main(int argc, char** argv) {
  device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  const std::string options =
      "fd=" + std::to_string(device) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
  if (argc != 2 || device < 0 ||
      ::mount("dead", argv[1], "fuse.dead", MS_NOSUID | MS_NODEV, options.c_str()) != 0) {
    std::perror("dead-filesystem");
    return 1;
  }
  std::array<char, FUSE_MIN_READ_BUFFER + 4096> buffer;
  while (::read(device, buffer.data(), buffer.size()) >=
         static_cast<ssize_t>(sizeof(fuse_in_header))) {
    fuse_in_header request;
    std::memcpy(&request, buffer.data(), sizeof request);
    Serve(request);
  }
  return 0;  // unmounted
}
