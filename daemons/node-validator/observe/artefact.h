// SPDX-License-Identifier: Apache-2.0
//
// The files that make a guest: are they there, and are they what they are called? A few bytes of
// each tell; none is read as a whole.
#pragma once

#include "daemons/node-validator/observe/kata.h"

namespace gpuhost::node_validator {

// Where links lead to, as far as they lead; without links, the path itself.
std::string FollowLinks(const Tree& tree, std::string path);

// `key` says what it should be: runtime_path, path and virtio_fs_daemon programs; kernel a bzImage,
// an ELF file or an arm64 image; image an MS-DOS partition table with a file system; firmware a
// firmware volume.
Artefact LookAtArtefact(const Tree& tree, const std::string& key, const std::string& path);

}  // namespace gpuhost::node_validator
