// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/prefer.h"

#include <algorithm>
#include <map>
#include <set>

namespace gpuhost::sandbox_device_plugin {
namespace {

// A place where devices are: the machine, a NUMA node, a bridge, and at the end one unit.
struct Place {
  std::map<std::string, Place> parts;
  const Unit* unit = nullptr;
  size_t available = 0;  // units in it, required ones included
  size_t required = 0;
};

void Put(Place& machine, const Unit& unit, bool required) {
  std::vector<std::string> way{unit.numa_node ? fmt::format("{:05}", *unit.numa_node) : ""};
  for (const pci::Bdf& bridge : unit.bridges) way.push_back(bridge.ToString());
  way.push_back(fmt::format("unit {:>20}", unit.id));
  Place* place = &machine;
  for (const std::string& step : way) {
    ++place->available;
    place->required += required;
    place = &place->parts[step];
  }
  *place = {.unit = &unit, .available = 1, .required = required};
}

using Taken = std::vector<std::string>;
void Take(const Place& place, size_t count, Taken& taken);

// The smallest of `parts` with room for `count`, the first of equals; null when there is none.
const Place* BestFit(const std::vector<const Place*>& parts, size_t count) {
  const Place* best = nullptr;
  for (const Place* part : parts) {
    if (part->available < count) continue;
    if (best == nullptr || part->available < best->available) best = part;
  }
  return best;
}

// Takes from several parts: what is required, then whole parts, then the rest from the best fit.
void TakeFromSeveral(const Place& place, size_t count, Taken& taken) {
  size_t promised = place.required;  // to parts that come later
  std::vector<const Place*> others;
  for (const auto& [name, part] : place.parts) {
    if (part.required == 0) {
      others.push_back(&part);
      continue;
    }
    promised -= part.required;
    const size_t here = std::min(part.available, count - promised);
    Take(part, here, taken);
    count -= here;
  }
  std::ranges::stable_sort(others, std::greater<>(), &Place::available);
  while (count > 0) {
    const Place* part = BestFit(others, count);
    if (part == nullptr) part = others.front();  // the largest
    const size_t here = std::min(part->available, count);
    Take(*part, here, taken);
    count -= here;
    std::erase(others, part);
  }
}

// The deepest place with room for `count` and with all that is required; of several the one with
// the least room, in itself, then around it.
struct Candidate {
  const Place* place = nullptr;
  std::vector<size_t> room;  // of the place, of what it is in, and so on

  bool operator<(const Candidate& other) const {
    if (room.size() != other.room.size()) return room.size() > other.room.size();
    return room < other.room;
  }
};

void Search(const Place& place, size_t count, size_t required, std::vector<size_t> around,
            Candidate& best) {
  if (place.available < count || place.required != required) return;
  around.insert(around.begin(), place.available);
  const Candidate here{&place, around};
  if (best.place == nullptr || here < best) best = here;
  for (const auto& [name, part] : place.parts) Search(part, count, required, around, best);
}

// Takes `count` units, at most those available and at least those required.
void Take(const Place& place, size_t count, Taken& taken) {
  if (count == 0) return;
  Candidate best;
  Search(place, count, place.required, {}, best);
  if (best.place->unit != nullptr)
    taken.push_back(best.place->unit->id);
  else
    TakeFromSeveral(*best.place, count, taken);
}

}  // namespace

std::vector<std::string> Prefer(const std::vector<Unit>& units,
                                const std::vector<std::string>& available,
                                const std::vector<std::string>& required, int size,
                                const Partitions& partitions) {
  if (size <= 0) return {};
  const size_t count = static_cast<size_t>(size);
  std::set<std::string> wanted(required.begin(), required.end());
  std::set<std::string> allowed = wanted;
  allowed.insert(available.begin(), available.end());
  if (auto ids = ChoosePartition(partitions, units, allowed, wanted, count); !ids.empty()) {
    return ids;
  }

  Place machine;
  std::vector<std::string> unknown_required, unknown;
  for (const Unit& unit : units) {
    if (allowed.erase(unit.id) > 0) Put(machine, unit, wanted.contains(unit.id));
  }
  for (const std::string& id : allowed) {  // what no unit has
    (wanted.contains(id) ? unknown_required : unknown).push_back(id);
  }
  std::vector<std::string> taken = std::move(unknown_required);
  taken.resize(std::min(taken.size(), count));
  const size_t known = std::min(count - taken.size(), machine.available);
  if (known >= machine.required) {
    Take(machine, known, taken);
  } else {  // more are required than asked for
    for (const Unit& unit : units) {
      if (wanted.contains(unit.id) && taken.size() < count) taken.push_back(unit.id);
    }
  }
  for (const std::string& id : unknown) {
    if (taken.size() < count) taken.push_back(id);
  }
  return taken;
}

}  // namespace gpuhost::sandbox_device_plugin
