# `cmake --install`: the program, the headers for function authors, and a CMake package, so that a function is
#   find_package(fmesh REQUIRED)
#   add_library(mine MODULE mine.cc)
#   target_link_libraries(mine PRIVATE fmesh::function)
include(GNUInstallDirs)
# Nothing but the program is built for it: tests and benchmarks are not installed.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
include(CMakePackageConfigHelpers)

add_library(fmesh_function INTERFACE)
add_library(fmesh::function ALIAS fmesh_function)
set_target_properties(fmesh_function PROPERTIES EXPORT_NAME function)
target_compile_features(fmesh_function INTERFACE cxx_std_20)
target_include_directories(fmesh_function INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(TARGETS fmesh_function EXPORT fmesh)
if(TARGET fmesh)
  install(TARGETS fmesh RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET fmesh-python)
  # A package of its own: whoever has no functions in Python needs no libpython.
  install(TARGETS fmesh-python RUNTIME DESTINATION lib/fmesh COMPONENT python)
endif()
install(DIRECTORY include/fmesh DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/fmesh)
install(EXPORT fmesh NAMESPACE fmesh:: DESTINATION ${package_directory} FILE fmesh-config.cmake)
# Headers only, so any pointer size fits.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/fmesh-config-version.cmake
  COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_BINARY_DIR}/fmesh-config-version.cmake DESTINATION ${package_directory})
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
# What README.md points at for people who use fmesh; the rest is for those who have its source.
install(DIRECTORY docs/guide docs/reference DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR}
  PATTERN "*_test.py" EXCLUDE PATTERN "target" EXCLUDE PATTERN ".fmesh" EXCLUDE PATTERN "examples/CMakeLists.txt" EXCLUDE
  PATTERN "hello/CMakeLists.txt" EXCLUDE)
