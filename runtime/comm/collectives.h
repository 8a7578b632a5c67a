// Collectives as rounds of a rendezvous. All ranks call the same one with equal sizes; errors as Communicator says.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/comm/rendezvous.h"

namespace tandem {

// Each is called after rendezvous.begin().
void run_all_reduce(Rendezvous& rendezvous, std::span<float> values);
void run_broadcast(Rendezvous& rendezvous, std::span<std::byte> bytes, int root);
void run_all_gather(Rendezvous& rendezvous, std::string_view blob, std::vector<std::string>& blobs);
void run_barrier(Rendezvous& rendezvous);

}  // namespace tandem
