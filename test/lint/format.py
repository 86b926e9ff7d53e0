# SPDX-License-Identifier: Apache-2.0
"""clang-format must have nothing to change."""
import pathlib
import subprocess
import sys


def main():
    files = [str(p) for room in ("libgpuhost", "daemons", "test")
             for p in sorted(pathlib.Path(room).rglob("*")) if p.suffix in (".h", ".cpp")]
    done = subprocess.run(["clang-format", "--dry-run", "--Werror", *files], capture_output=True,
                          text=True)
    if done.returncode == 0:
        print(f"format: fine ({len(files)} files)")
        return 0
    wrong = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "error:" in line})
    print("format: run clang-format -i on: " + " ".join(wrong))
    return 1


if __name__ == "__main__":
    sys.exit(main())
