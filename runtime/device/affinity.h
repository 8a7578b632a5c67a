// The processors that a thread may run on.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace tandem {

// Operating-system numbers of the calling thread's processors, ascending. Throws Unavailable if the system does not tell.
std::vector<int> thread_cpus();

// Restricts the calling thread, and the threads it will start, to these; the system leaves out those that the process may not
// have. Throws InvalidArgument if none is left.
void set_thread_cpus(std::span<const int> cpus);

// OMP_PROC_BIND, OMP_PLACES and GOMP_CPU_AFFINITY make libgomp pin the main thread to one processor before main() begins, and
// every thread started later inherits that one. Gives the calling thread back all processors that the process may use, and
// returns a warning for the user, or "" if none of them is set. To be called first thing in main().
std::string undo_openmp_binding();

}  // namespace tandem
