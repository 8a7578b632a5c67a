# How every target of the project is made: one library per folder, one test program per test folder.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

find_program(TANDEM_CCACHE ccache)
if(TANDEM_CCACHE)  # paths relative to the source tree: checkouts and build folders share what was compiled
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${TANDEM_CCACHE})
endif()
find_program(TANDEM_LLD ld.lld)
if(TANDEM_LLD AND NOT CMAKE_CROSSCOMPILING)  # the cross compiler looks for it under another name
  add_link_options(-fuse-ld=lld)
endif()

# Warnings, hardening and sanitizers of our own targets.
add_library(tandem_options INTERFACE)
target_include_directories(tandem_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(tandem_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-unknown-pragmas;-fno-math-errno>)
target_compile_definitions(tandem_options INTERFACE _GLIBCXX_ASSERTIONS)
# The first x86-64 had no FMA, so that plain code rounds each product there. It shall do so on every machine: the same bits.
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(tandem_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
endif()
if(TANDEM_WERROR)
  target_compile_options(tandem_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(TANDEM_SANITIZE)
  target_compile_options(tandem_options INTERFACE -fsanitize=${TANDEM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(tandem_options INTERFACE -fsanitize=${TANDEM_SANITIZE})
endif()

# tandem_library(name SOURCES a.cpp ... [DEPENDS public targets] [PRIVATE third-party targets])
function(tandem_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} ${TANDEM_LIBRARY_KIND} ${ARG_SOURCES})
    set_target_properties(${name} PROPERTIES DEFINE_SYMBOL "")  # the same objects for both kinds of library
    target_link_libraries(${name} PUBLIC tandem_options ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE tandem_options ${ARG_DEPENDS})
  endif()
  string(REGEX REPLACE "^tandem_" "tandem::" alias ${name})
  add_library(${alias} ALIAS ${name})
endfunction()

# tandem_test(name SOURCES a_test.cpp ... DEPENDS targets): a GoogleTest program, each case a ctest case of its own.
# One that reads the source tree depends on tandem_source_dir. One named cuda_... is also a test of the device, and goes into the bundle for a
# GPU machine (scripts/cmake/TandemBundle.cmake); cuda_emulator_... tests the emulator itself.
function(tandem_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set(main GTest::gtest_main)
  if(TANDEM_TEST_ON_DEVICE AND name MATCHES "^cuda_" AND NOT name MATCHES "^cuda_emulator_")
    set(main tandem_device_main)
    tandem_bundle(${name})
  endif()
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} tandem_options GTest::gmock ${main})
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 600)
endfunction()
