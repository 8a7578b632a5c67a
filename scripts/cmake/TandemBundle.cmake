# The bundle for a GPU machine: a folder that holds the programs whose result hangs on a device, all libraries they need beside glibc, what
# they read, and run.sh. `cmake --preset gpu-bundle && cmake --build --preset gpu-bundle` makes it; scripts/gpu_check explains how to use it.

# tandem_bundle(targets...): these programs go into the bundle.
function(tandem_bundle)
  set_property(GLOBAL APPEND PROPERTY TANDEM_BUNDLE_PROGRAMS ${ARGN})
endfunction()

if(TANDEM_TEST_ON_DEVICE)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
  set(CMAKE_INSTALL_RPATH "$ORIGIN/../lib")
  add_link_options(-Wl,--disable-new-dtags)  # libraries look there for their own needs too
endif()

# After all folders: the target gpu_bundle.
function(tandem_add_bundle)
  if(NOT TANDEM_TEST_ON_DEVICE)
    return()
  endif()
  get_property(programs GLOBAL PROPERTY TANDEM_BUNDLE_PROGRAMS)
  set(files ${programs})
  list(TRANSFORM files REPLACE "(.+)" "$<TARGET_FILE:\\1>")
  add_custom_target(gpu_bundle
    COMMAND python3 ${PROJECT_SOURCE_DIR}/scripts/gpu_bundle.py --out ${PROJECT_BINARY_DIR}/gpu_bundle --libraries $<TARGET_FILE_DIR:CUDA::cudart> ${files}
    DEPENDS ${programs}
    VERBATIM USES_TERMINAL)
endfunction()
