// Versions and devices of the emulated CUDA runtime.
#include <cstdio>
#include <cstring>

#include "machine.h"

using namespace tandem::emulator;

namespace {

constexpr int kMajor = 9, kMinor = 0, kMultiprocessors = 132, kSharedPerBlock = 48 * 1024, kSharedOptIn = 227 * 1024;

bool exists(const Machine& m, int device) { return device >= 0 && device < m.devices; }

void describe(const Machine& m, cudaDeviceProp& out, int device) {
  out = {};
  std::snprintf(out.name, sizeof out.name, "Emulated GPU %d", device);
  out.major = kMajor;
  out.minor = kMinor;
  out.multiProcessorCount = kMultiprocessors;
  out.totalGlobalMem = m.memory_limit;
  out.sharedMemPerBlock = kSharedPerBlock;
  out.sharedMemPerBlockOptin = kSharedOptIn;
  out.warpSize = 32;
  out.maxThreadsPerBlock = 1024;
}

}  // namespace

extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  return call(Entry::kVersion, [=](Machine& m) {
    *version = m.driver;
    return cudaSuccess;
  });
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return call(Entry::kVersion, [=](Machine&) {
    *version = CUDART_VERSION;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  return call([=](Machine& m) {
    *count = m.devices;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call([=](Machine& m) {
    if (!exists(m, device)) return cudaErrorInvalidDevice;
    describe(m, *properties, device);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return call([=](Machine& m) {
    if (!exists(m, device)) return cudaErrorInvalidDevice;
    switch (attribute) {
      case cudaDevAttrComputeCapabilityMajor: *value = kMajor; break;
      case cudaDevAttrComputeCapabilityMinor: *value = kMinor; break;
      case cudaDevAttrMultiProcessorCount: *value = kMultiprocessors; break;
      case cudaDevAttrMaxSharedMemoryPerBlock: *value = kSharedPerBlock; break;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = kSharedOptIn; break;
      case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
      case cudaDevAttrWarpSize: *value = 32; break;
      default: return cudaErrorNotSupported;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  return call([=](Machine& m) {
    if (!exists(m, device)) return cudaErrorInvalidDevice;
    return std::snprintf(id, static_cast<size_t>(length), "0000:%02x:00.0", device + 1) < length ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaSetDevice(int device) {
  return call([=](Machine& m) {
    if (!exists(m, device)) return cudaErrorInvalidDevice;
    host().device = device;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return call([=](Machine&) {
    *device = host().device;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call([](Machine& m) {
    if (const cudaError_t refused = refuse_in_capture(m); refused != cudaSuccess) return refused;
    run_all(m);
    return cudaSuccess;
  });
}

}  // extern "C"
