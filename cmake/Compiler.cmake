# What every target of this project is compiled with.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")

add_library(fmesh_options INTERFACE)
target_compile_options(fmesh_options INTERFACE -Wall -Wextra -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # The compiler we ship with decides; clang builds the fuzzers and reads g++'s library with other eyes.
  target_compile_options(fmesh_options INTERFACE -Werror)
endif()
if(FMESH_SANITIZE)
  target_compile_options(fmesh_options INTERFACE -fsanitize=${FMESH_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(fmesh_options INTERFACE -fsanitize=${FMESH_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # What the sanitizers insert leads g++ to warn of an std::optional's content behind its own test, and of the frames of Asio's
    # coroutines, whose allocation it inlines and whose release it does not.
    target_compile_options(fmesh_options INTERFACE -Wno-maybe-uninitialized -Wno-mismatched-new-delete)
  endif()
  if(FMESH_SANITIZE MATCHES "thread")
    # GCC warns of atomic_thread_fence, which Boost.Asio uses and TSan does not model.
    target_compile_options(fmesh_options INTERFACE -Wno-tsan)
  endif()
endif()

find_program(FMESH_CCACHE ccache)
if(FMESH_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${FMESH_CCACHE})
endif()
find_program(FMESH_MOLD mold)
if(FMESH_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
