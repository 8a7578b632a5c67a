# The CUDA backend, and its stand-in on the CPU.
#
# Every program links one of two: tandem_cuda, compiled by nvcc, or tandem_cuda_emulated, the same sources compiled by the C++ compiler over
# tests/support/cuda_emulator. A target chooses by its property TANDEM_ON_DEVICE; the default is the emulator, but in a bundle for a GPU
# machine.
#   TANDEM_CUDA=AUTO (default)  ON where nvcc is found, else OFF
#   TANDEM_CUDA=ON              both; needs the CUDA toolkit, version 13 on
#   TANDEM_CUDA=EMULATED        the emulator alone; needs the toolkit's headers (sanitizers: nvcc takes no part)
#   TANDEM_CUDA=OFF             kernels/cuda is left out
set(TANDEM_CUDA AUTO CACHE STRING "CUDA backend: AUTO, ON, EMULATED or OFF")
set(TANDEM_CUDA_ARCHITECTURES 90 CACHE STRING "GPU architectures to compile for, e.g. 80;86;89;90;100")
option(TANDEM_TEST_ON_DEVICE "Link tests with the real CUDA backend" OFF)

if(NOT TANDEM_CUDA STREQUAL "OFF")  # .cuda is what scripts/setup --cuda makes
  set(toolkits /usr/local/cuda ${PROJECT_SOURCE_DIR}/.cuda/toolkit)
  find_program(TANDEM_NVCC nvcc HINTS ENV CUDA_HOME PATHS ${toolkits} PATH_SUFFIXES bin)
  find_path(TANDEM_CUDA_INCLUDE cuda_runtime_api.h HINTS ENV CUDA_HOME PATHS ${toolkits} PATH_SUFFIXES include)
endif()
set(TANDEM_CUDA_KIND ${TANDEM_CUDA})
if(TANDEM_CUDA STREQUAL "AUTO")
  if(TANDEM_NVCC AND TANDEM_CUDA_INCLUDE AND NOT TANDEM_SANITIZE)
    set(TANDEM_CUDA_KIND ON)
  elseif(TANDEM_CUDA_INCLUDE)
    set(TANDEM_CUDA_KIND EMULATED)
  else()
    set(TANDEM_CUDA_KIND OFF)
  endif()
endif()
message(STATUS "CUDA backend: ${TANDEM_CUDA_KIND}")

set(TANDEM_HAS_CUDA 0)
if(NOT TANDEM_CUDA_KIND STREQUAL "OFF")
  set(TANDEM_HAS_CUDA 1)
  if(NOT TANDEM_CUDA_INCLUDE)
    message(FATAL_ERROR "TANDEM_CUDA=${TANDEM_CUDA} needs cuda_runtime_api.h: install the CUDA toolkit or set CUDA_HOME")
  endif()
endif()
if(TANDEM_CUDA_KIND STREQUAL "ON")
  set(CMAKE_CUDA_COMPILER ${TANDEM_NVCC})
  set(CMAKE_CUDA_ARCHITECTURES ${TANDEM_CUDA_ARCHITECTURES})
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${PROJECT_SOURCE_DIR}/scripts/cmake/keep_ptxas_report ${CMAKE_CXX_COMPILER_LAUNCHER})
  enable_language(CUDA)
  find_package(CUDAToolkit 12 REQUIRED)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # CMake 3.25 does not know that nvcc has it
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
target_compile_definitions(tandem_options INTERFACE TANDEM_HAS_CUDA=${TANDEM_HAS_CUDA})

# Headers of the toolkit, for C++ files that call the CUDA runtime. Not a dependency on it.
add_library(tandem_cuda_headers INTERFACE)
if(TANDEM_HAS_CUDA)
  target_include_directories(tandem_cuda_headers SYSTEM INTERFACE ${TANDEM_CUDA_INCLUDE})
endif()

# The backend of whoever links: for the interface of tandem_kernels.
set(TANDEM_CUDA_BACKEND "")
if(TANDEM_CUDA_KIND STREQUAL "ON" AND TANDEM_TEST_ON_DEVICE)
  set(TANDEM_CUDA_BACKEND tandem_cuda)
elseif(TANDEM_CUDA_KIND STREQUAL "ON")
  set(TANDEM_CUDA_BACKEND "$<IF:$<BOOL:$<TARGET_PROPERTY:TANDEM_ON_DEVICE>>,tandem_cuda,tandem_cuda_emulated>")
elseif(TANDEM_CUDA_KIND STREQUAL "EMULATED")
  set(TANDEM_CUDA_BACKEND tandem_cuda_emulated)
endif()


# In a bundle our libraries are shared, so that two dozen programs do not carry the same code two dozen times.
set(TANDEM_LIBRARY_KIND STATIC)
set(TANDEM_CUDA_RUNTIME CUDA::cudart_static)
if(TANDEM_TEST_ON_DEVICE)
  set(TANDEM_LIBRARY_KIND SHARED)
  set(TANDEM_CUDA_RUNTIME CUDA::cudart)
endif()
