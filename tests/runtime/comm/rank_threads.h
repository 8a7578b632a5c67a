// Runs a body on every rank of a thread group.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/comm/communicator.h"

namespace tandem {

// What each rank ended with: "" or its error's text. A communicator is destroyed as its rank ends.
inline std::vector<std::string> run_as_threads(int ranks, const std::function<void(Communicator&)>& body,
                                               const CommunicatorOptions& options = {}) {
  std::vector<std::unique_ptr<Communicator>> group = make_thread_group(ranks, options);
  std::vector<std::string> ends(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      const std::unique_ptr<Communicator> communicator = std::move(group[static_cast<size_t>(rank)]);
      try {
        body(*communicator);
      } catch (const std::exception& error) {
        ends[static_cast<size_t>(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return ends;
}

}  // namespace tandem
