#include <mutex>
#include <string>

#include "runtime/python/interpreter_private.h"
#include "runtime/python/python_logic.h"
#include "runtime/python/sources.h"

namespace fmesh::runtime {
namespace {

PyObject* host_module = nullptr;  // lib/fmesh_host.py, once the interpreter runs

Status check(const PyStatus& status, const char* what) {
  if (PyStatus_Exception(status) == 0) return {};
  return fail(ErrorKind::kFixInput, std::string("Python can't be started: ") + what + ": " +
                                        (status.err_msg != nullptr ? status.err_msg : "no reason given"));
}

Status initialize() {
  PyPreConfig before;
  PyPreConfig_InitPythonConfig(&before);
  before.utf8_mode = 1;
  FMESH_CHECK(check(Py_PreInitialize(&before), "settings"));
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  config.install_signal_handlers = 0;
  config.parse_argv = 0;
  // The interpreter of the library that this is linked with, whatever is first on PATH.
  PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, FMESH_PYTHON_PROGRAM);
  if (PyStatus_Exception(status) == 0) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  return check(status, "interpreter");
}

// (name, is_package, text) of every module.
Ref module_texts() {
  Ref all = Ref::steal(PyList_New(0));
  for (const PythonSource& source : python_sources()) {
    const Ref name = to_text(source.name), text = to_text(source.text);
    if (!all || !name || !text) return {};
    const Ref one = Ref::steal(Py_BuildValue("(OOO)", name.get(), source.is_package ? Py_True : Py_False, text.get()));
    if (!one || PyList_Append(all.get(), one.get()) < 0) return {};
  }
  return all;
}

Status load_host_module() {
  const PythonSource& source = python_sources().front();
  const std::string name(source.name), text(source.text);
  const Ref code = Ref::steal(Py_CompileString(text.c_str(), ("<fmesh>/" + name + ".py").c_str(), Py_file_input));
  if (code) host_module = PyImport_ExecCodeModule(name.c_str(), code.get());
  Ref texts, done;
  if (host_module != nullptr) texts = module_texts();
  if (texts) done = call_host_module("add_modules", Ref::steal(PyTuple_Pack(1, texts.get())).get());
  if (done) return {};
  PyErr_Print();
  return fail(ErrorKind::kBug, "fmesh's own Python modules can't be loaded");
}

}  // namespace

Status start_python() {
  static std::once_flag once;
  static Status started;
  std::call_once(once, [] {
    started = initialize();
    if (!started) return;
    started = load_host_module();
    PyEval_SaveThread();
  });
  return started;
}

Ref call_host_module(const char* function, PyObject* arguments) {
  if (arguments == nullptr) return {};
  const Ref callable = Ref::steal(PyObject_GetAttrString(host_module, function));
  return callable ? Ref::steal(PyObject_Call(callable.get(), arguments, nullptr)) : Ref();
}

std::string take_exception() {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (value != nullptr && trace != nullptr) PyException_SetTraceback(value, trace);
  const Ref owns_type = Ref::steal(type), exception = Ref::steal(value), owns_trace = Ref::steal(trace);
  if (!exception) return "it failed without an exception";
  const Ref text = call_host_module("describe", Ref::steal(PyTuple_Pack(1, exception.get())).get());
  const char* const bytes = text ? PyUnicode_AsUTF8(text.get()) : nullptr;
  if (bytes != nullptr) return bytes;
  PyErr_Clear();
  return std::string(Py_TYPE(exception.get())->tp_name) + ", which can't be described";
}

void end_python() {
  if (Py_IsInitialized() == 0) return;
  PyGILState_Ensure();
  Py_FinalizeEx();
}

}  // namespace fmesh::runtime
