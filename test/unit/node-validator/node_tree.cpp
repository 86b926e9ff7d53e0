// SPDX-License-Identifier: Apache-2.0
#include "test/unit/node-validator/node_tree.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

#include "daemons/node-validator/observe/questions.h"

#ifndef GPUHOST_NODES
#error "the build gives the directory of the descriptions"
#endif

namespace gpuhost::test {
namespace {

namespace fs = std::filesystem;
using node_validator::Entry;
using node_validator::Kind;

struct Words {
  std::string first;
  std::map<std::string, std::string> named;
};

// "0000:41:00.0 driver=vfio-pci group=41"
Words Split(const std::string& rest) {
  Words words;
  std::istringstream stream(rest);
  stream >> words.first;
  for (std::string word; stream >> word;) {
    const size_t equals = word.find('=');
    words.named[word.substr(0, equals)] =
        equals == std::string::npos ? "" : word.substr(equals + 1);
  }
  return words;
}

// Bytes: "xff00", "fill:4096:ab", or the text itself.
std::string Bytes(const std::string& text) {
  const auto hex = [](const std::string& digits) {
    std::string bytes;
    for (size_t i = 0; i + 1 < digits.size(); i += 2) {
      bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    }
    return bytes;
  };
  if (text.starts_with("fill:")) {
    const size_t colon = text.rfind(':');
    return std::string(std::stoul(text.substr(5, colon - 5)), hex(text.substr(colon + 1))[0]);
  }
  return text.starts_with('x') ? hex(text.substr(1)) : text;
}

std::string Stub(Kind kind, const std::string& device = "") {
  return node_validator::RenderStub({.kind = kind, .mode = 0600, .device = device}, {});
}

}  // namespace

NodeTree::NodeTree(const std::string& name) {
  root_.Directory(node_validator::kCapture);
  Apply(name);
}

std::string NodeTree::Directory() { return GPUHOST_NODES; }

std::vector<std::string> NodeTree::All() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(Directory())) {
    if (entry.path().extension() == ".tree") names.push_back(entry.path().stem());
  }
  std::ranges::sort(names);
  return names;
}

void NodeTree::Apply(const std::string& name) {
  std::ifstream file(fmt::format("{}/{}.tree", Directory(), name));
  if (!file) throw std::runtime_error("no node " + name);
  causes_.clear();
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('|')) {
      Append(line.size() > 2 ? line.substr(2) : "");
      continue;
    }
    open_.clear();
    if (line.empty() || line.starts_with('#')) continue;
    const size_t blank = std::min(line.find(' '), line.size());
    Command(line.substr(0, blank), line.substr(std::min(blank + 1, line.size())));
  }
}

void NodeTree::Append(const std::string& line) {
  if (open_.empty()) throw std::runtime_error("'| " + line + "' belongs to no file");
  root_.File(open_, root_.Content(open_) + line + "\n");
}

void NodeTree::Command(const std::string& verb, const std::string& rest) {
  const size_t blank = std::min(rest.find(' '), rest.size());
  const std::string path = rest.substr(0, blank),
                    value = rest.substr(std::min(blank + 1, rest.size()));
  if (verb == "base") {
    Apply(rest);
  } else if (verb == "title") {
    title_ = rest;
  } else if (verb == "deep") {
    depth_ = node_validator::Depth::kDeep;
  } else if (verb == "causes") {
    std::istringstream ids(rest);
    causes_.clear();
    for (std::string id; ids >> id;) causes_.push_back(id);
  } else if (verb == "file") {
    root_.Remove(path);
    root_.File(path, "");
    open_ = path;
  } else if (verb == "line") {
    root_.Remove(path);
    root_.File(path, value + "\n");
  } else if (verb == "words") {  // separated by NUL, as in /proc/<pid>/cmdline
    std::string words = value + " ";
    std::ranges::replace(words, ' ', '\0');
    root_.File(path, words);
  } else if (verb == "replace") {  // PATH OLD NEW: in all of the file
    const size_t middle = value.find(" => ");
    std::string text = root_.Content(path);
    const std::string old = value.substr(0, middle);
    const size_t at = text.find(old);
    if (at == std::string::npos) throw std::runtime_error(path + " has no '" + old + "'");
    root_.File(path, text.replace(at, old.size(), value.substr(middle + 4)));
  } else if (verb == "link") {
    root_.Link(path, value);
  } else if (verb == "dir") {
    root_.Directory(path);
  } else if (verb == "char") {
    root_.File(path, Stub(Kind::kCharacterDevice, value));
  } else if (verb == "socket") {
    root_.File(path, Stub(Kind::kSocket));
  } else if (verb == "fifo") {
    root_.Remove(path);
    root_.Directory(fs::path(path).parent_path().string());
    if (::mkfifo(root_.Of(path).c_str(), 0600) != 0) throw std::runtime_error("mkfifo " + path);
  } else if (verb == "huge") {  // PATH BYTES: mostly zeros
    root_.File(path, "");
    fs::resize_file(root_.Of(path), std::stoul(value));
  } else if (verb == "remove") {
    if (!root_.Exists(path)) throw std::runtime_error("nothing to remove at " + path);
    root_.Remove(path);
  } else if (verb == "touch") {
    const timeval time{std::stol(value), 0};
    const timeval times[] = {time, time};
    if (::utimes(root_.Of(path).c_str(), times) != 0) throw std::runtime_error("touch " + path);
  } else if (verb == "answer") {  // NAME ok TEXT, NAME error TEXT
    const size_t middle = std::min(value.find(' '), value.size());
    const bool ok = value.substr(0, middle) == "ok";
    std::string text = value.substr(std::min(middle + 1, value.size()));
    std::ranges::replace(text, '|', '\n');
    root_.File(fmt::format("{}/{}", node_validator::kCapture, path),
               (ok ? "ok\n" : "error ") + text);
  } else if (verb == "function") {
    Function(rest);
  } else if (verb == "bridge") {
    Bridge(rest);
  } else if (verb == "blob") {
    Blob(rest);
  } else {
    throw std::runtime_error("'" + verb + "' is no command");
  }
}

// Defaults are those of an H100 on vfio-pci; "-" leaves something out.
void NodeTree::Function(const std::string& rest) {
  auto [bdf, given] = Split(rest);
  std::map<std::string, std::string> is{
      {"vendor", "10de"}, {"device", "2331"}, {"class", "030200"}, {"driver", "vfio-pci"},
      {"group", "-"},     {"cdev", "-"},      {"port", "-"},       {"bar1", "0x3fffffffff"},
      {"width", "16"},    {"power", "D0"},    {"bytes", "-"}};
  for (const auto& [key, value] : given) is.at(key) = value;
  const std::string parent =
      is["port"] == "-" ? "/sys/devices/pci0000:00" : "/sys/devices/pci0000:00/" + is["port"];
  const std::string sysfs = parent + "/" + bdf;
  root_.Remove(sysfs);
  root_.Link("/sys/bus/pci/devices/" + bdf, "../../.." + sysfs.substr(4));
  const auto line = [&](const std::string& name, const std::string& value) {
    root_.File(sysfs + "/" + name, value + "\n");
  };
  line("vendor", "0x" + is["vendor"]);
  line("device", "0x" + is["device"]);
  line("class", "0x" + is["class"]);
  line("subsystem_vendor", "0x10de");
  line("subsystem_device", "0x1626");
  line("resource", "0x00000000b0000000 0x00000000b0ffffff 0x0000000000040200\n" +
                       (is["bar1"] == "0"
                            ? std::string("0x0000000000000000 0x0000000000000000 "
                                          "0x0000000000000000")
                            : fmt::format("0x0000002000000000 {} 0x000000000014220c", is["bar1"])));
  line("current_link_width", is["width"]);
  line("max_link_width", "16");
  line("current_link_speed", "32.0 GT/s PCIe");
  line("max_link_speed", "32.0 GT/s PCIe");
  line("power_state", is["power"]);
  line("driver_override", is["driver"] == "vfio-pci" ? "vfio-pci" : "(null)");
  const std::string ids = is["bytes"] != "-"
                              ? Bytes(is["bytes"])
                              : Bytes("xde10" + is["device"].substr(2) + is["device"].substr(0, 2));
  root_.File(sysfs + "/config", ids + std::string(60, '\0'));
  if (is["driver"] != "-") root_.Link(sysfs + "/driver", "/sys/bus/pci/drivers/" + is["driver"]);
  if (is["group"] != "-") {
    const std::string group = "/sys/kernel/iommu_groups/" + is["group"];
    root_.Link(sysfs + "/iommu_group", group);
    root_.Link(group + "/devices/" + bdf, "../../../.." + sysfs.substr(4));
    root_.File(group + "/type", "DMA-FQ\n");
  }
  if (is["cdev"] == "-") return;
  root_.File(sysfs + "/vfio-dev/vfio" + is["cdev"] + "/dev", "511:" + is["cdev"] + "\n");
  root_.File("/dev/vfio/devices/vfio" + is["cdev"],
             Stub(Kind::kCharacterDevice, "511:" + is["cdev"]));
}

void NodeTree::Bridge(const std::string& rest) {
  const auto [bdf, is] = Split(rest);
  const std::string sysfs = "/sys/devices/pci0000:00/" + bdf;
  root_.Link("/sys/bus/pci/devices/" + bdf, "../../.." + sysfs.substr(4));
  root_.File(sysfs + "/vendor", "0x1022\n");
  root_.File(sysfs + "/device", "0x14ab\n");
  root_.File(sysfs + "/class", "0x060400\n");
  std::string config(4096, '\0');
  const unsigned long acs = std::stoul(is.at("acs"), nullptr, 16);
  config.replace(0x100, 4, std::string("\x0d\x00\x01\x00", 4));
  config[0x106] = static_cast<char>(acs & 0xff);
  config[0x107] = static_cast<char>(acs >> 8);
  root_.File(sysfs + "/config", config);
}

// PATH size=N mode=755 uid=0 @OFFSET=BYTES...
void NodeTree::Blob(const std::string& rest) {
  const auto [path, is] = Split(rest);
  Entry entry{.kind = Kind::kFile, .mode = 0644};
  std::map<off_t, std::string> parts;
  for (const auto& [key, value] : is) {
    if (key == "size") entry.size = std::stol(value);
    if (key == "mode") entry.mode = static_cast<mode_t>(std::stoul(value, nullptr, 8));
    if (key == "uid") entry.uid = static_cast<uid_t>(std::stoul(value));
    if (key.starts_with('@')) parts[std::stol(key.substr(1), nullptr, 0)] = Bytes(value);
  }
  root_.File(path, RenderStub(entry, parts));
}

}  // namespace gpuhost::test
