// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/status.h>
#include <sys/types.h>

#include <string>
#include <string_view>

namespace gpuhost {

// Gives the file `name` in `directory` new content in one step: readers see the old file or the
// whole new one, also after a power cut. A file that is replaced keeps its owner and SELinux label.
//
// Some programs read every file of a directory, whatever its name (CRI-O 1.37: crio.conf.d). So the
// new content has no name there before it is complete and takes its place: it gets a name of ours
// in the directory above, and is renamed from there. Only where that cannot be (a mount point, no
// right to write above) it has a name "<name>.tmp.XXXXXX" for a moment, complete. What a writer
// that was killed has left of either kind is removed by the next ReplaceFile or RemoveLeftOvers of
// this name; one that still writes is told by its lock. The errno of what failed.
absl::Status ReplaceFile(int directory, const std::string& name, std::string_view bytes,
                         mode_t mode);

void RemoveLeftOvers(int directory, const std::string& name);

}  // namespace gpuhost
