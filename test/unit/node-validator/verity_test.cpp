// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/observe/verity.h"

#include <openssl/sha.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "daemons/node-validator/observe/questions.h"
#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/gpu/bar0.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

namespace {

constexpr const char* kImage = "/opt/guest image.img";
constexpr size_t kData = 1 << 20, kHashes = 16 << 20;  // where the partitions begin
const std::string kSalt = "e48da609055204e89ae53b655ca2216dd983cf3cb829f34f63a297d106d53e2d";

std::string Bytes(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::string Hash(const std::string& block) {
  const std::string salted = Bytes(kSalt) + block;
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  ::SHA256(reinterpret_cast<const unsigned char*>(salted.data()), salted.size(),
           reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

std::string Hex(const std::string& bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

// Level by level as a whole, the way that the documentation describes the tree.
struct Built {
  std::string tree, root;
  std::vector<size_t> level_sizes;  // in bytes, the one above the data first
};
Built Build(const std::string& data, size_t data_size, size_t hash_size) {
  Built built;
  std::string level = data;
  for (size_t size = data_size; level.size() > size; size = hash_size) {
    std::string above;
    for (size_t at = 0; at < level.size(); at += size) above += Hash(level.substr(at, size));
    above.resize((above.size() + hash_size - 1) / hash_size * hash_size);
    built.tree = above + built.tree;
    built.level_sizes.push_back(above.size());
    level = above;
  }
  built.root = Hex(Hash(level));
  return built;
}

std::string Partition(uint64_t start, uint64_t size) {
  std::string entry(16, '\0');
  for (size_t i = 0; i < 4; ++i) {
    entry[8 + i] = static_cast<char>(start / 512 >> (8 * i));
    entry[12 + i] = static_cast<char>(size / 512 >> (8 * i));
  }
  return entry;
}

struct World {
  fake::TempRoot root;
  HostFs fs{root.path()};
  Tree tree{fs};
  SystemClock clock;
  gpu::Bar0Source registers{fs};

  void Write(const std::string& data, const std::string& hashes) {
    root.File(kImage, "");
    std::ofstream file(root.Of(kImage), std::ios::binary);
    file.seekp(446) << Partition(kData, data.size()) << Partition(kHashes, hashes.size());
    file.seekp(510) << "\x55\xaa";
    file.seekp(kData) << data;
    file.seekp(kHashes) << hashes;
  }
  void Flip(size_t offset) {
    std::fstream file(root.Of(kImage), std::ios::binary | std::ios::in | std::ios::out);
    const char byte = static_cast<char>(file.seekg(static_cast<std::streamoff>(offset)).get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset)).put(byte);
  }
};

Verity Parameters(uint64_t blocks, uint64_t data_size, uint64_t hash_size) {
  return {.salt = kSalt,
          .data_blocks = blocks,
          .data_block_size = data_size,
          .hash_block_size = hash_size};
}

// No two blocks are alike.
std::string Data(size_t blocks, size_t size) {
  std::string data;
  for (size_t i = 0; i < blocks; ++i) {
    data += fmt::format("{:08}", i);
    data.resize((i + 1) * size, static_cast<char>(i));
  }
  return data;
}

}  // namespace

TEST_CASE("verity parameters are checked as Kata does") {
  const auto verity =
      ParseVerity("root_hash=ab,salt=cd,data_blocks=5,data_block_size=4096,hash_block_size=512");
  REQUIRE(verity.ok());
  CHECK(verity->data_blocks == 5);
  CHECK(verity->hash_block_size == 512);
  CHECK(ParseVerity("root_hash=AB,salt=CD,data_blocks=1,data_block_size=512,hash_block_size=512")
            ->root_hash == "ab");
  for (const char* wrong :
       {"", "root_hash",
        "root_hash=ab,salt=cd,data_blocks=0,data_block_size=4096,hash_block_size=4096",
        "root_hash=xy,salt=cd,data_blocks=5,data_block_size=4096,hash_block_size=4096",
        "root_hash=ab,salt=cd,data_blocks=5,data_block_size=100,hash_block_size=4096",
        "root_hash=ab,salt=cd,data_blocks=5,data_block_size=4096,hash_block_size=99999999999999"}) {
    CAPTURE(wrong);
    CHECK(absl::IsInvalidArgument(ParseVerity(wrong).status()));
  }
}

// 8 MiB of zeros. Source: cryptsetup's tests/verity-compat-test, which holds these against the
// kernel.
TEST_CASE("root hashes are those of veritysetup") {
  const auto [size, root_hash] = GENERATE(table<uint64_t, const char*>(
      {{512, "9de18652fe74edfb9b805aaed72ae2aa48f94333f1ba5c452ac33b1c39325174"},
       {1024, "54d92778750495d1f80832b486ebd007617d746271511bbf0e295e143da2b3df"},
       {4096, "e522df0f97da4febb882ac40f30b37dc0b444bf6df418929463fa25280f09d5c"}}));
  World world;
  const std::string zeros(8 << 20, '\0');
  const Built built = Build(zeros, size, size);
  CHECK(built.root == root_hash);
  world.Write(zeros, built.tree);
  const auto found = HashImage(world.tree, kImage, Parameters(zeros.size() / size, size, size));
  INFO(Text(found.status()));
  REQUIRE(found.ok());
  CHECK(found->root == root_hash);
  CHECK(found->differs.empty());
}

TEST_CASE("trees of any height and of uneven block sizes") {
  const size_t blocks = GENERATE(1u, 2u, 16u, 17u, 255u, 256u, 257u, 3000u);
  const size_t data_size = GENERATE(512u, 4096u), hash_size = GENERATE(512u, 4096u);
  CAPTURE(blocks, data_size, hash_size);
  World world;
  const std::string data = Data(blocks, data_size);
  const Built built = Build(data, data_size, hash_size);
  world.Write(data, built.tree);
  const auto found = HashImage(world.tree, kImage, Parameters(blocks, data_size, hash_size));
  REQUIRE(found.ok());
  CHECK(found->root == built.root);
  CHECK(found->differs.empty());
}

TEST_CASE("the damaged block is named") {
  World world;
  const size_t blocks = 300;
  const std::string data = Data(blocks, 4096);
  const Built built = Build(data, 4096, 512);
  REQUIRE(built.level_sizes.size() == 3);
  const size_t second = built.level_sizes[2], first = second + built.level_sizes[1];
  const auto look = [&] {
    const auto found = HashImage(world.tree, kImage, Parameters(blocks, 4096, 512));
    REQUIRE(found.ok());
    return *found;
  };
  world.Write(data, built.tree);
  SECTION("of the data") {
    for (const size_t block : {0u, 1u, 17u, 255u, 299u}) {
      CAPTURE(block);
      world.Flip(kData + block * 4096 + 4095);
      const ImageHash found = look();
      CHECK(found.root != built.root);
      CHECK(found.differs == fmt::format("data block {}", block));
      world.Flip(kData + block * 4096 + 4095);
    }
    CHECK(look().root == built.root);
  }
  SECTION("of the tree, where the data are right") {
    world.Flip(kHashes + second + 512);
    CHECK(look().differs == "hash block 1 of level 1");
    world.Flip(kHashes);
    CHECK(look().differs == "hash block 1 of level 1");
    world.Flip(kHashes + second + 512);
    CHECK(look().differs == "hash block 0 of level 2");
    world.Flip(kHashes + first + 512 + 32);
    CHECK(look().differs == "data block 17");
    CHECK(look().root == built.root);
  }
  SECTION("of the tree's padding") {
    world.Flip(kHashes + built.tree.size() - 1);
    CHECK(look().differs == "hash block 18 of level 0");
  }
  SECTION("of a tree that is cut off") {
    std::filesystem::resize_file(world.root.Of(kImage), kHashes + built.tree.size() - 100);
    CHECK(look().differs == "hash block 18 of level 0");
  }
}

TEST_CASE("what cannot be hashed says why") {
  World world;
  const std::string data = Data(20, 512);
  world.Write(data, Build(data, 512, 512).tree);
  const auto why = [&](const Verity& verity) {
    return HashImage(world.tree, kImage, verity).status();
  };
  CHECK(absl::IsDataLoss(why(Parameters(21, 512, 512))));
  for (const uint64_t wrong : {0u, 256u, 1536u, 2u << 20}) {
    CHECK(absl::IsInvalidArgument(why(Parameters(20, wrong, 512))));
    CHECK(absl::IsInvalidArgument(why(Parameters(20, 512, wrong))));
  }
  std::filesystem::resize_file(world.root.Of(kImage), kData + 19 * 512 + 511);
  const absl::Status ends = why(Parameters(20, 512, 512));
  CHECK(absl::IsDataLoss(ends));
  CHECK(Text(ends) == "it has 19 data blocks, the configuration says 20");
  world.root.File(kImage, "no partitions");
  CHECK(absl::IsUnavailable(why(Parameters(20, 512, 512))));
  world.root.Remove(kImage);
  CHECK(absl::IsUnavailable(why(Parameters(20, 512, 512))));
}

TEST_CASE("a live node is asked for the hash of an image, wherever its root is") {
  World world;
  const std::string data = Data(20, 512);
  const Built built = Build(data, 512, 512);
  world.Write(data, built.tree);
  const auto ask = [&] {
    const auto questions = AskNode(world.tree, {world.fs, world.clock, world.registers});
    const auto answer =
        questions->Ask(Question::kImageHash, fmt::format("{} {} 20 512 512", kImage, kSalt));
    INFO(Text(answer.status()));
    REQUIRE(answer.ok());
    return *answer;
  };
  CHECK(ask() == built.root);
  world.Flip(kData + 5 * 512);
  CHECK(ask().ends_with("\ndata block 5"));
  const auto questions = AskNode(world.tree, {world.fs, world.clock, world.registers});
  CHECK(absl::IsInvalidArgument(questions->Ask(Question::kImageHash, "/opt/x 1").status()));
}
