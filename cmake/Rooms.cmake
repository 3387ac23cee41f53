# A room is a folder under src/: its *.cc files make the library fmesh_<name>, its *_test.cc files one test program.
# Tests run through ctest with the label "fast"; slower ones live under tests/.
function(fmesh_room path)
  cmake_parse_arguments(ROOM "" "DIRECTORY;PROGRAM" "DEPENDS;TEST_DEPENDS" ${ARGN})
  string(REPLACE "/" "_" name ${path})
  set(directory ${CMAKE_SOURCE_DIR}/src/${path})
  if(ROOM_DIRECTORY)
    set(directory ${CMAKE_SOURCE_DIR}/${ROOM_DIRECTORY})
  endif()
  # One level of folders below a room belongs to it, unless that folder is a room of its own (stream/log, stream/pulsar).
  file(GLOB sources CONFIGURE_DEPENDS ${directory}/*.cc ${directory}/*/*.cc)
  if(path STREQUAL "stream")
    list(FILTER sources EXCLUDE REGEX "/stream/(log|pulsar)/")
  endif()
  list(FILTER sources EXCLUDE REGEX "/runtime/python/") # a program of its own, cmake/Python.cmake
  list(FILTER sources EXCLUDE REGEX "/sim/(memory_disk|mutations)\\.cc$") # libraries of their own
  list(FILTER sources EXCLUDE REGEX "/sim/kube/[a-z_]*[^t]\\.cc$")
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "/sim/kube/") # a library of its own
  set(main ${sources})
  list(FILTER main INCLUDE REGEX "/main\\.cc$")
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")

  if(sources)
    add_library(fmesh_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(fmesh_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(fmesh_${name} ${scope} ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR})
  target_link_libraries(fmesh_${name} ${scope} fmesh_options ${ROOM_DEPENDS} Threads::Threads)

  if(ROOM_PROGRAM AND main)
    add_executable(${ROOM_PROGRAM} ${main})
    target_link_libraries(${ROOM_PROGRAM} PRIVATE fmesh_${name})
    set_target_properties(${ROOM_PROGRAM} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  endif()

  if(FMESH_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE fmesh_${name} ${ROOM_TEST_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES LABELS fast TIMEOUT 900 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  endif()
endfunction()

# fmesh_protocol(PATH): generates C++ from src/PATH.proto as a library whose header is included as "PATH.pb.h".
function(fmesh_protocol path)
  string(REPLACE "/" "_" name ${path})
  set(directory ${CMAKE_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${directory})
  add_custom_command(
    OUTPUT ${directory}/${path}.pb.cc ${directory}/${path}.pb.h
    COMMAND protobuf::protoc -I ${CMAKE_SOURCE_DIR}/src --cpp_out=${directory} ${CMAKE_SOURCE_DIR}/src/${path}.proto
    DEPENDS ${CMAKE_SOURCE_DIR}/src/${path}.proto)
  # The generator's code is compiled with its own warnings, not with ours.
  add_library(fmesh_${name} STATIC ${directory}/${path}.pb.cc ${directory}/${path}.pb.h)
  target_include_directories(fmesh_${name} SYSTEM PUBLIC ${directory})
  target_link_libraries(fmesh_${name} PUBLIC protobuf::libprotobuf-lite)
endfunction()
