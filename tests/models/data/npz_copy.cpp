// Reads an .npz and writes its arrays to another: what tests/interop/test_npz_vs_numpy.py compares with NumPy.
#include <cstdio>

#include "models/data/npy.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    tandem::write_npz(argv[2], tandem::read_npz(argv[1]));
  } catch (const tandem::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
