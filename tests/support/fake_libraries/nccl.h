// What a test may ask of the stand-in of NCCL: its function fake_nccl returns this, found by dlsym.
#pragma once

#include <cstddef>

struct FakeNccl {
  // So far.
  int all_reduces = 0, broadcasts = 0, all_gathers = 0, finalized = 0, destroyed = 0, aborted = 0;
  int alive = 0;  // communicators
  // Of the last collective.
  int type = -1, operation = -1;
  size_t count = 0;
  const void *from = nullptr, *to = nullptr;
  void* stream = nullptr;

  // The nth call from now that may fail does, with this status (0: none). last_call is the name of the one that was made last.
  int fail_in = 0, fail_status = 0;
  const char* last_call = "";
  int asynchronous_error = 0;  // the state of communicators from now on
  bool never_done = false;     // calls that are begun stay in progress
  int milliseconds = 0;        // that a collective takes
};
