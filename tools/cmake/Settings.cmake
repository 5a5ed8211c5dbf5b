# Compiler settings of every target, and the one way in which this project declares them.

add_library(backstay_settings INTERFACE)
target_include_directories(backstay_settings INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(backstay_settings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Werror
  -fstack-protector-strong -fno-omit-frame-pointer)
target_compile_definitions(backstay_settings INTERFACE _GLIBCXX_ASSERTIONS)
if(BACKSTAY_SANITIZE)
  target_compile_options(backstay_settings INTERFACE
    -fsanitize=${BACKSTAY_SANITIZE} -fno-sanitize-recover=all
    # What ASan and the processor find anyway, and a quarter of the time to compile.
    -fno-sanitize=null,object-size,vptr
    -g1  # names and lines for a report; types would be most of what is written and linked
    # Half of the time to compile a test was optimisation.
    $<IF:$<BOOL:$<TARGET_PROPERTY:BACKSTAY_IS_TEST>>,-O0,-O1>)
  target_link_options(backstay_settings INTERFACE -fsanitize=${BACKSTAY_SANITIZE})
else()
  target_compile_options(backstay_settings INTERFACE
    $<$<CONFIG:RelWithDebInfo>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>
    # What a test or a program does with time is in the libraries. Optimised, gcc 12 sees overlong
    # copies in texts that are put together with +, where there are none (its bug 105329).
    "$<$<BOOL:$<TARGET_PROPERTY:BACKSTAY_IS_TEST>>:-O1;-Wno-array-bounds;-Wno-stringop-overflow>")
  target_link_options(backstay_settings INTERFACE -Wl,-z,relro,-z,now)
endif()
if(BACKSTAY_FUZZ)
  # Coverage for libFuzzer in everything that a fuzz target links.
  target_compile_options(backstay_settings INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(backstay_settings INTERFACE -fsanitize=fuzzer-no-link)
  add_custom_target(fuzz_targets)
endif()
# Assertions are our own and always on (core/base/check.h); NDEBUG only silences the libraries'.

if(BACKSTAY_LTO)
  include(CheckIPOSupported)
  check_ipo_supported()
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  # LTO objects of a static library need the number of link jobs stated, or gcc uses one.
  add_link_options(-flto=auto)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# A header's share of a library is compiled once for several of its files. Off where a file is to be
# judged alone: in the presets tsan and tidy.
option(BACKSTAY_UNITY "compile several files of a target as one" OFF)
set(CMAKE_UNITY_BUILD ${BACKSTAY_UNITY})
set(CMAKE_UNITY_BUILD_BATCH_SIZE 10)
if(BACKSTAY_UNITY)
  # What a source file keeps to itself is then "of a header" for gcc.
  target_compile_options(backstay_settings INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)  # clang does not know it
endif()

# Half of a build went into parsing the same headers again. The presets tsan and tidy do without, so
# that a file which forgets an include is found there.
option(BACKSTAY_PRECOMPILE "precompile the headers that nearly every file includes" OFF)
function(backstay_precompile name)
  if(BACKSTAY_PRECOMPILE)
    # What everything links: a header is refused where other macros are defined.
    target_link_libraries(${name} PRIVATE backstay_settings fmt::fmt spdlog::spdlog)
    target_precompile_headers(${name} PRIVATE
      <algorithm> <array> <atomic> <cstdint> <deque> <functional> <map> <memory> <optional> <set>
      <span> <string> <string_view> <utility> <vector> <absl/container/flat_hash_map.h>
      <absl/status/statusor.h> <absl/time/time.h> <fmt/format.h> ${ARGN})
  endif()
endfunction()
function(backstay_use_precompiled name headers)
  if(BACKSTAY_PRECOMPILE)
    target_precompile_headers(${name} REUSE_FROM ${headers})
  endif()
endfunction()
if(BACKSTAY_PRECOMPILE)
  file(WRITE ${CMAKE_BINARY_DIR}/headers.cc "int main() {}\n")
  add_library(backstay_headers OBJECT ${CMAKE_BINARY_DIR}/headers.cc)
  target_compile_options(backstay_headers PRIVATE -fno-exceptions)
  add_executable(backstay_test_headers ${CMAKE_BINARY_DIR}/headers.cc)
  target_link_libraries(backstay_test_headers PRIVATE GTest::gtest)
  set_target_properties(backstay_test_headers PROPERTIES BACKSTAY_IS_TEST ON)
endif()
backstay_precompile(backstay_headers)
backstay_precompile(backstay_test_headers <gtest/gtest.h>)

# backstay_library(NAME SOURCES ... DEPENDS ...): product code, no exceptions.
function(backstay_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC backstay_settings ${ARG_DEPENDS})
  target_compile_options(${name} PRIVATE -fno-exceptions)
  backstay_use_precompiled(${name} backstay_headers)
endfunction()

# backstay_program(NAME SOURCES ... DEPENDS ...): an executable in bin/, and part of the target that
# builds all of them, and the one test that needs their optimisation.
add_custom_target(programs)
function(backstay_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE backstay_settings ${ARG_DEPENDS})
  # Flags and verbs: CLI11 is slow to optimise.
  set_target_properties(${name} PROPERTIES BACKSTAY_IS_TEST ON)
  add_dependencies(programs ${name})
endfunction()

# backstay_test_library(NAME SOURCES ... DEPENDS ...): what several tests share.
function(backstay_test_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC backstay_settings ${ARG_DEPENDS} GTest::gtest)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF BACKSTAY_IS_TEST ON)
  target_compile_options(${name} PRIVATE -fPIE)
  backstay_use_precompiled(${name} backstay_test_headers)
endfunction()

# backstay_test(NAME SOURCES ... DEPENDS ... [LABELS ...]): a GoogleTest program, one ctest entry.
function(backstay_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE
    backstay_settings ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES BACKSTAY_IS_TEST ON)
  backstay_use_precompiled(${name} backstay_test_headers)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "unit;${ARG_LABELS}" TIMEOUT 300)
endfunction()

# backstay_fuzz(NAME SOURCES ... DEPENDS ...): a libFuzzer target in fuzz/; its corpus is
# tests/fuzz/corpus/NAME.
function(backstay_fuzz name)
  if(NOT BACKSTAY_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE backstay_settings ${ARG_DEPENDS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  add_dependencies(fuzz_targets ${name})
endfunction()
