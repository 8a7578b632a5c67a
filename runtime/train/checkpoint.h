// A checkpoint: every state of a training job, whole or not at all.
//
// File: "TANDEMCK", u32 version, u64 header bytes, a JSON header (position of the job; name, type, shape and offset of each
// state), the states' bytes, and the SHA-256 of all that as 64 hex digits. Little-endian. States are the same for any number of
// ranks, so a job may go on with another.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "runtime/exec/executor.h"

namespace tandem {

// What a job must know beside the states to go on: counters and the best result so far, as text by name.
using JobPosition = std::map<std::string, std::string>;

// Writes atomically: after a crash at any moment `path` holds this checkpoint or the one before. Throws Unavailable naming path
// and cause.
void save_checkpoint(const std::filesystem::path& path, StateStore& states, const JobPosition& position);

// Replaces the content of every state in `states` and returns the position. Throws NotFound if there is no file, InvalidArgument
// if it is cut short, altered, of another version, or does not hold exactly these states; the states are then unchanged.
JobPosition load_checkpoint(const std::filesystem::path& path, StateStore& states);

}  // namespace tandem
