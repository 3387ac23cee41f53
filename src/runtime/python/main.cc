// fmesh-python: the child process in which a Python function of a mesh runs. Started by fmesh; the one program that is
// linked with Python.
#include "runtime/child/serve.h"
#include "runtime/python/python_logic.h"

int main() {
  using namespace fmesh::runtime;
  const int code = serve_logic([](const std::string& directory, size_t* current) {
    return make_python_logic({.directory = directory, .current = current, .dump_signal = kDumpSignal});
  });
  end_python();
  return code;
}
