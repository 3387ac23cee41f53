# Tests that are Python scripts: they find the build directory in FMESH_BUILD. Label "fast": part of `./do test`;
# "e2e": `./do e2e`; "e2e-long": only with `./do e2e --all`.
find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)

function(fmesh_python_test name label script)
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} ${script} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 900
    ENVIRONMENT "FMESH_BUILD=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()
