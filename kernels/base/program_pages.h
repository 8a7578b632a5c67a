// The code and constants of the program and its libraries, as far as they are in memory.
#pragma once

namespace tandem {

// Lets go of the pages of code and constants that this process has touched; the system reads those that are used again from its cache of the file (some tens of
// microseconds for each MiB). After a model is loaded most of them are done with: a parser's, the passes', the packing. Any thread may run meanwhile.
void return_program_pages();

}  // namespace tandem
