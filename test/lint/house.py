# SPDX-License-Identifier: Apache-2.0
"""House rules that a text search can check."""
import pathlib
import re
import subprocess
import sys

MAX_LINES = 400
SPDX = "SPDX-License-Identifier: Apache-2.0"
UNMARKED = {"go.sum", "LICENSE", "README.md", ".gitignore"}  # files that carry no comment of their own


def tracked():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True, check=True)
    return [pathlib.Path(line) for line in listed.stdout.splitlines() if pathlib.Path(line).is_file()]


def complaints(path, text):
    lines = text.splitlines()
    if path.name not in UNMARKED and path.suffix != ".md" and SPDX not in "\n".join(lines[:3]):
        yield "no SPDX line"
    if path.suffix in (".h", ".cpp") and len(lines) > MAX_LINES:
        yield f"{len(lines)} lines, more than {MAX_LINES}"
    if path.parts[0] == "libgpuhost" and path.suffix in (".h", ".cpp"):
        if re.search(r"spdlog|std::c(out|err)\b|\bprintf\(", text):
            yield "libgpuhost reports by status, not by output"
        if "absl::string_view" in text:
            yield "absl::string_view is not std::string_view in Debian"
    if path.suffix in (".h", ".cpp") and re.search(r"\bstd::(views|format|expected)\b", text):
        yield "not in clang 14 or g++ 12"
    if path.parts[0] in ("test",) and path.parts[1] == "unit" and "sleep_for" in text:
        yield "a unit test sleeps; use the fake clock"


def main():
    errors = []
    for path in tracked():
        if path.parts[:3] == ("test", "fuzz", "seeds"):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        errors += [f"{path}: {complaint}" for complaint in complaints(path, text)]
    print("\n".join(errors) or "house rules: fine")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
