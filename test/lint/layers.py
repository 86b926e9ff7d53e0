# SPDX-License-Identifier: Apache-2.0
"""Checks every include of libgpuhost and daemons against the table in libgpuhost/README.md."""
import pathlib
import re
import sys

TABLE = re.compile(r"^\| (\w+) \| ([\w, ]*) ?\| .*\|$")
INCLUDE = re.compile(r'^\s*#include ["<]([^">]+)[">]', re.M)
# Headers that stand for a library, and the only files that may include them.
ONLY_IN = {
    "pci/pci.h": ["libgpuhost/pci/names.cpp"],
    "libudev.h": ["libgpuhost/pci/monitor.cpp"],
    "CLI/CLI.hpp": ["daemons/*/options.cpp", "test/*/options.cpp"],
    "curl/curl.h": ["daemons/common/kube/curl_client.cpp", "daemons/common/rpc/unary_call.cpp",
                    "daemons/kata-manager/artifacts/url.cpp"],
    "yaml-cpp/yaml.h": ["daemons/common/kube/kubeconfig.cpp", "daemons/kata-manager/config.cpp",
                        "daemons/node-validator/observe/parse_yaml.cpp"],
    "httplib.h": ["test/apiserver/http_server.cpp", "test/registry/scripted_registry.cpp"],
    "event2/bufferevent.h": ["daemons/common/service/http_endpoint.cpp"],
    "toml++/toml.h": ["daemons/cc-manager/config.cpp", "daemons/kata-manager/toml.cpp",
                      "daemons/node-validator/observe/parse_toml.cpp"],
    "systemd/sd-bus.h": ["daemons/kata-manager/systemd.cpp", "test/unit/kata-manager/systemd_test.cpp"],
    "archive.h": ["daemons/node-validator/bundle/archive.cpp", "daemons/kata-manager/artifacts/tar_stream.h",
                  "test/unit/kata-manager/tarball.h"],
    "openssl/evp.h": ["daemons/kata-manager/digest.cpp", "daemons/node-validator/observe/verity.cpp",
                      "test/apiserver/certificate.h"],
    "grpcpp/grpcpp.h": ["daemons/sandbox-device-plugin/*", "test/kubelet/*", "test/unit/sandbox-device-plugin/*",
                         "test/fuzz/rpc.cpp"],
}


def allowed_folders():
    rows = pathlib.Path("libgpuhost/README.md").read_text().splitlines()
    table = {}
    for match in filter(None, map(TABLE.match, rows)):
        table[match[1]] = {name.strip() for name in match[2].split(",") if name.strip()}
    return table


def violation(path, include, table):
    room, _, _ = str(path).partition("/")
    target = include.split("/")
    if room == "libgpuhost":
        folder = path.parts[1]
        if target[0] in ("daemons", "test"):
            return "libgpuhost knows neither daemons nor tests"
        if target[0] == "libgpuhost" and target[1] not in table[folder] | {folder}:
            return f"{folder} may use only {sorted(table[folder]) or 'itself'}"
    if room == "daemons":
        own = path.parts[1]
        if target[0] == "test":
            return "daemons know no tests"
        if target[0] == "daemons" and target[1] not in (own, "common"):
            return "a daemon knows no other daemon"
        if own == "common" and target[0] == "libgpuhost" and target[1] != "base":
            return "daemons/common uses base alone"
        if own == "common" and target[:2] == ["daemons", "common"] and target[2] != path.parts[2]:
            return "the folders of daemons/common do not know each other"
    patterns = ONLY_IN.get(include)
    if patterns and not any(path.match(p) for p in patterns):
        return f"only {', '.join(patterns)} may include it"
    return None


def main():
    table = allowed_folders()
    on_disk = {p.name for p in pathlib.Path("libgpuhost").iterdir() if p.is_dir()}
    errors = [f"libgpuhost/README.md: no row for {name}" for name in sorted(on_disk - table.keys())]
    for room in ("libgpuhost", "daemons", "test"):
        for path in sorted(pathlib.Path(room).rglob("*")):
            if path.suffix not in (".h", ".cpp"):
                continue
            for include in INCLUDE.findall(path.read_text()):
                reason = violation(path, include, table)
                if reason:
                    errors.append(f"{path}: includes {include}: {reason}")
    print("\n".join(errors) or "include directions: fine")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
