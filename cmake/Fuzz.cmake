# Fuzzers: one program per tests/fuzz/*.cc, built by clang with libFuzzer and ASan. The rooms they link are compiled with the
# same sanitizers in this build, so that coverage reaches into them.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "FMESH_FUZZ: found compiler ${CMAKE_CXX_COMPILER_ID}, expected Clang; use `cmake --preset fuzz`")
endif()
add_custom_target(fuzzers)

function(fmesh_fuzzer name)
  add_executable(fuzz_${name} EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}.cc)
  target_link_libraries(fuzz_${name} PRIVATE ${ARGN})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(fuzz_${name} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  add_dependencies(fuzzers fuzz_${name})
endfunction()

fmesh_fuzzer(command fmesh_plan)
fmesh_fuzzer(documents fmesh_model)
fmesh_fuzzer(entry fmesh_stream)
fmesh_fuzzer(frame fmesh_stream_pulsar)
fmesh_fuzzer(journal fmesh_stream_log fmesh_memory_disk)
fmesh_fuzzer(review fmesh_operator)
fmesh_fuzzer(kube_object fmesh_kube)
fmesh_fuzzer(watch fmesh_kube)
fmesh_fuzzer(objects fmesh_plan)
