// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/prefer.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

using Strings = std::vector<std::string>;

// Sixteen GPUs, ids 0 ... 15: four to a PCIe switch, two switches to a NUMA node.
std::vector<Unit> Sixteen() {
  std::vector<Unit> units;
  for (uint8_t i = 0; i < 16; ++i) {
    const uint8_t bus = static_cast<uint8_t>(i / 4 * 16);
    units.push_back({.id = std::to_string(i),
                     .bdfs = {{.bus = static_cast<uint8_t>(bus + 4 + i)}},
                     .numa_node = i / 8,
                     .bridges = {{.bus = bus},
                                 {.bus = static_cast<uint8_t>(bus + 1)},
                                 {.bus = static_cast<uint8_t>(bus + 2), .device = i}}});
  }
  return units;
}

Strings Sorted(Strings ids) {
  std::ranges::sort(ids, {}, [](const std::string& id) { return std::stoi(id); });
  return ids;
}

Strings All() {
  Strings ids;
  for (int i = 0; i < 16; ++i) ids.push_back(std::to_string(i));
  return ids;
}

struct Vector {
  const char* what;
  Strings available, required;
  int size;
  Strings expected;
};

const std::vector<Vector> kVectors{
    {"one of all", All(), {}, 1, {"0"}},
    {"one: where least is left", {"0", "1", "2", "3", "5", "8", "9"}, {}, 1, {"5"}},
    {"two: of one switch", {"0", "4", "5", "8", "12"}, {}, 2, {"4", "5"}},
    {"two: the fuller switch stays whole", {"0", "1", "2", "3", "6", "7"}, {}, 2, {"6", "7"}},
    {"four: a whole switch", {"0", "1", "2", "4", "5", "6", "7", "8"}, {}, 4, {"4", "5", "6", "7"}},
    {"four: one node rather than two",
     {"0", "1", "4", "5", "8", "9", "10", "12"},
     {},
     4,
     {"0", "1", "4", "5"}},
    {"six: a switch and what is left of another",
     {"0", "1", "2", "3", "4", "5", "8", "9", "10", "11", "12", "13", "14", "15"},
     {},
     6,
     {"0", "1", "2", "3", "4", "5"}},
    {"eight: a whole node", All(), {}, 8, {"0", "1", "2", "3", "4", "5", "6", "7"}},
    {"more than a node has",
     {"0", "1", "2", "8", "9", "10", "11"},
     {},
     5,
     {"0", "8", "9", "10", "11"}},
    {"required ones draw the others", All(), {"13"}, 2, {"12", "13"}},
    {"required ones of two switches", All(), {"1", "6"}, 4, {"0", "1", "2", "6"}},
    {"required ones of two nodes", All(), {"1", "9"}, 2, {"1", "9"}},
    {"required ones that are not available", {"0", "1"}, {"13"}, 2, {"0", "13"}},
    {"as many as are required", All(), {"3", "9", "14"}, 3, {"3", "9", "14"}},
    {"fewer than are required", All(), {"3", "9", "14"}, 2, {"3", "9"}},
    {"more than there are", {"4", "2"}, {}, 8, {"2", "4"}},
    {"some twice", {"4", "4", "2", "2"}, {"4"}, 3, {"2", "4"}},
    {"nothing", {}, {}, 4, {}},
    {"none of them", All(), {}, 0, {}},
    {"a negative number", All(), {"1"}, -1, {}},
    {"all", All(), {}, 16, All()},
};

}  // namespace

TEST_CASE("devices that are close to each other are preferred") {
  for (const Vector& vector : kVectors) {
    CAPTURE(vector.what);
    const auto taken = Prefer(Sixteen(), vector.available, vector.required, vector.size);
    CHECK(Sorted(taken) == vector.expected);
    Strings turned = vector.available;
    std::ranges::reverse(turned);
    CHECK(Prefer(Sixteen(), turned, vector.required, vector.size) == taken);
  }
}

TEST_CASE("every preference is of the right size and of what was offered") {
  const auto units = Sixteen();
  for (unsigned mask = 0; mask < 1u << 16; mask += 37) {
    Strings available, required;
    for (unsigned i = 0; i < 16; ++i) {
      if ((mask >> i & 1) == 0) continue;
      available.push_back(std::to_string(i));
      if (i % 5 == 0) required.push_back(std::to_string(i));
    }
    for (const size_t size : {1u, 2u, 3u, 8u, 16u}) {
      const auto taken = Prefer(units, available, required, static_cast<int>(size));
      const std::set<std::string> unique(taken.begin(), taken.end());
      REQUIRE(unique.size() == taken.size());
      REQUIRE(taken.size() == std::min(size, available.size()));
      for (const std::string& id : taken) {
        REQUIRE(std::ranges::find(available, id) != available.end());
      }
      if (required.size() > size) continue;
      for (const std::string& id : required) REQUIRE(unique.contains(id));
    }
  }
}

TEST_CASE("ids that nobody knows are taken last, whatever they are") {
  const Strings taken = Prefer(Sixteen(), {"\xff", "7", std::string(1 << 16, 'x')}, {}, 2);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0] == "7");
  CHECK(Prefer({}, {"b", "a"}, {"c"}, 2) == Strings{"c", "a"});
}

TEST_CASE("devices whose place is not known are as good as any") {
  std::vector<Unit> units{{.id = "1"}, {.id = "2"}, {.id = "3", .numa_node = 0}};
  CHECK(Prefer(units, {"1", "2", "3"}, {}, 2) == Strings{"1", "2"});
}

namespace {

pci::Bdf Of(uint8_t i) { return Sixteen()[i].bdfs.front(); }

// As Fabric Manager has them on a board of eight: not in the order of addresses.
Partitions OfBoard() {
  return {{Of(0), Of(1), Of(2), Of(3), Of(4), Of(5), Of(6), Of(7)},
          {Of(0), Of(2), Of(4), Of(6)},
          {Of(1), Of(3), Of(5), Of(7)},
          {Of(0), Of(4)},
          {Of(2), Of(6)},
          {Of(1), Of(5)},
          {Of(3), Of(7)},
          {Of(0)},
          {Of(1)},
          {Of(2)},
          {Of(3)},
          {Of(4)},
          {Of(5)},
          {Of(6)},
          {Of(7)}};
}

const std::vector<Vector> kPartitioned{
    {"two: a partition", All(), {}, 2, {"0", "4"}},
    {"two: of what is broken already", {"1", "2", "3", "5", "6", "7"}, {}, 2, {"2", "6"}},
    {"one: of what is broken already", {"0", "2", "3", "4", "6", "7"}, {}, 1, {"3"}},
    {"four: not those of one PCIe switch", All(), {}, 4, {"0", "2", "4", "6"}},
    {"required ones choose it", All(), {"3"}, 4, {"1", "3", "5", "7"}},
    {"required ones of two: as without partitions", All(), {"0", "1"}, 2, {"0", "1"}},
    {"no partition of that size", All(), {}, 3, {"0", "1", "2"}},
    {"none is whole", {"0", "1", "2", "3"}, {}, 2, {"0", "1"}},
};

}  // namespace

TEST_CASE("a partition of the switches' is preferred, and the largest others stay whole") {
  for (const Vector& vector : kPartitioned) {
    CAPTURE(vector.what);
    CHECK(Sorted(Prefer(Sixteen(), vector.available, vector.required, vector.size, OfBoard())) ==
          vector.expected);
  }
}

TEST_CASE("a partition with a GPU that is missing, or shares its group with another, is none") {
  std::vector<Unit> units = Sixteen();
  CHECK(Sorted(Prefer(units, All(), {}, 2, {{Of(0), {.bus = 0xee}}, {Of(3), Of(7)}})) ==
        Strings{"3", "7"});
  units[3].bdfs.push_back({.bus = 0xdd});
  CHECK(Sorted(Prefer(units, All(), {}, 2, {{Of(3), Of(7)}})) == Strings{"0", "1"});
}
