// What machine a run was made on, as text by name.
#pragma once

#include <map>
#include <string>

namespace tandem {

// "cpu", "cores", "memory_gib", "isa", "system".
std::map<std::string, std::string> machine_facts();

}  // namespace tandem
