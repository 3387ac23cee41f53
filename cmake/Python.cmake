# fmesh-python, the child process of Python functions: the one program that is linked with libpython. fmesh itself starts
# where there is no Python.
set(directory ${CMAKE_SOURCE_DIR}/src/runtime/python)
file(GLOB python_sources CONFIGURE_DEPENDS ${directory}/*.cc)
set(python_tests ${python_sources})
list(FILTER python_tests INCLUDE REGEX "_test\\.cc$")
list(FILTER python_sources EXCLUDE REGEX "(_test|/main)\\.cc$")

# The modules of lib/ as text within the program; fmesh_host first.
file(GLOB_RECURSE modules CONFIGURE_DEPENDS ${directory}/lib/*.py)
list(REMOVE_ITEM modules ${directory}/lib/fmesh_host.py)
list(PREPEND modules ${directory}/lib/fmesh_host.py)
set(texts ${CMAKE_BINARY_DIR}/python_sources.cc)
add_custom_command(OUTPUT ${texts}
  COMMAND ${CMAKE_COMMAND} -DDIRECTORY=${directory}/lib "-DMODULES=${modules}" -DOUTPUT=${texts} -P ${CMAKE_SOURCE_DIR}/cmake/PythonSources.cmake
  DEPENDS ${modules} ${CMAKE_SOURCE_DIR}/cmake/PythonSources.cmake VERBATIM)

add_library(fmesh_python_host STATIC ${python_sources} ${texts})
target_compile_definitions(fmesh_python_host PRIVATE
  FMESH_PYTHON_PROGRAM="${FMESH_PYTHON_PREFIX}/bin/python${python_VERSION}")
# Python 3.11's own headers.
target_include_directories(fmesh_python_host SYSTEM PRIVATE ${python_INCLUDE_DIRS})
target_link_libraries(fmesh_python_host PUBLIC fmesh_runtime PkgConfig::python)

add_executable(fmesh-python ${directory}/main.cc)
# Of what the runtime is linked with, only what this program uses.
target_link_options(fmesh-python PRIVATE -Wl,--as-needed)
target_link_libraries(fmesh-python PRIVATE fmesh_python_host)
set_target_properties(fmesh-python PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
add_dependencies(fmesh fmesh-python)

if(FMESH_TESTS)
  add_executable(python_test ${python_tests})
  target_include_directories(python_test SYSTEM PRIVATE ${python_INCLUDE_DIRS})
  target_link_libraries(python_test PRIVATE fmesh_python_host GTest::gtest GTest::gmock GTest::gtest_main)
  add_dependencies(python_test fmesh-python)
  add_test(NAME python COMMAND python_test)
  set_tests_properties(python PROPERTIES LABELS fast TIMEOUT 900 WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endif()
