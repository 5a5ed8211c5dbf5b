# Compiler settings of every target, and the one way in which this project declares them.

add_library(backstay_settings INTERFACE)
target_include_directories(backstay_settings INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(backstay_settings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Werror
  -fstack-protector-strong -fno-omit-frame-pointer)
target_compile_definitions(backstay_settings INTERFACE _GLIBCXX_ASSERTIONS)
if(BACKSTAY_SANITIZE)
  target_compile_options(backstay_settings INTERFACE
    -fsanitize=${BACKSTAY_SANITIZE} -fno-sanitize-recover=all -O1)
  target_link_options(backstay_settings INTERFACE -fsanitize=${BACKSTAY_SANITIZE})
else()
  target_compile_options(backstay_settings INTERFACE
    $<$<CONFIG:RelWithDebInfo>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
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

# backstay_library(NAME SOURCES ... DEPENDS ...): product code, no exceptions.
function(backstay_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC backstay_settings ${ARG_DEPENDS})
  target_compile_options(${name} PRIVATE -fno-exceptions)
endfunction()

# backstay_program(NAME SOURCES ... DEPENDS ...): an executable in bin/, and part of the target that
# builds all of them and no test.
add_custom_target(programs)
function(backstay_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE backstay_settings ${ARG_DEPENDS})
  add_dependencies(programs ${name})
endfunction()

# backstay_test(NAME SOURCES ... DEPENDS ... [LABELS ...]): a GoogleTest program, one ctest entry.
function(backstay_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE
    backstay_settings ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
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
