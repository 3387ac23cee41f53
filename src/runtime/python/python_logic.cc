#include "runtime/python/python_logic.h"

#include <array>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/python/host_private.h"
#include "runtime/python/interpreter_private.h"

namespace fmesh::runtime {
namespace {

// Between the name of a stream and the number of its partition.
constexpr std::string_view kPartitionMark = "-partition-";

// How the payload of a stream becomes what the function is given.
struct Decoder {
  enum Kind { kTextOrBytes, kBytes, kText, kCall } kind = kTextOrBytes;
  PyObject* call = nullptr;  // kCall; lives as long as the function
};

// "bytes", "text", None or a callable, as lib/fmesh_host.py gives it.
Decoder decoder_of(PyObject* how) {
  if (how == Py_None) return {};
  if (PyUnicode_Check(how) == 0) return {Decoder::kCall, how};
  return {PyUnicode_CompareWithASCIIString(how, "bytes") == 0 ? Decoder::kBytes : Decoder::kText, nullptr};
}

// A str where it is one, so that functions of people who think in text work; and the bytes themselves where it is not,
// so that nothing is lost. Either goes out as it came in.
Ref decode(const Decoder& decoder, std::string_view payload) {
  if (decoder.kind == Decoder::kBytes) return to_bytes(payload);
  if (decoder.kind == Decoder::kCall) {
    const Ref bytes = to_bytes(payload);
    return bytes ? Ref::steal(PyObject_CallOneArg(decoder.call, bytes.get())) : Ref();
  }
  Ref text = Ref::steal(PyUnicode_DecodeUTF8(payload.data(), static_cast<Py_ssize_t>(payload.size()), nullptr));
  if (text || decoder.kind == Decoder::kText || PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) == 0) return text;
  PyErr_Clear();
  return to_bytes(payload);
}

// The bytes of a result that is no bytes: text, a number. Null with an exception set for what is neither.
Ref encode(PyObject* result) {
  if (PyUnicode_Check(result) != 0) return Ref::steal(PyUnicode_AsUTF8String(result));
  const bool is_number = PyLong_CheckExact(result) || PyFloat_CheckExact(result) || PyComplex_CheckExact(result);
  if (is_number) {
    const Ref text = Ref::steal(PyObject_Str(result));
    return text ? Ref::steal(PyUnicode_AsUTF8String(text.get())) : Ref();
  }
  if (PyObject_CheckBuffer(result) != 0) return Ref::steal(PyBytes_FromObject(result));
  return Ref::steal(PyErr_Format(PyExc_TypeError,
                                 "process() returned %.200s; return bytes, str or a number, or name a SerDe in "
                                 "output.sinkSerdeClassName",
                                 Py_TYPE(result)->tp_name));
}

// [(stream or pattern, SerDe, schema, is_pattern)]
Ref inputs_of(const model::FunctionDetails& details) {
  Ref all = Ref::steal(PyList_New(0));
  if (!details.source) return all;
  for (const auto& [topic, input] : details.source->input_specs) {
    const Ref one = Ref::steal(Py_BuildValue("(sssO)", topic.c_str(), input.serde_class_name.c_str(),
                                             input.schema_type.c_str(), input.is_regex_pattern ? Py_True : Py_False));
    if (!all || !one || PyList_Append(all.get(), one.get()) < 0) return {};
  }
  return all;
}

Ref topics_of(const LogicContext& context) {
  Ref all = Ref::steal(PyList_New(0));
  for (const std::string& topic : context.inputs()) {
    const Ref one = to_text(topic);
    if (!all || !one || PyList_Append(all.get(), one.get()) < 0) return {};
  }
  return all;
}

Ref secrets_of(const model::InstanceSpec& spec) {
  Ref all = Ref::steal(PyDict_New());
  for (const auto& [name, value] : spec.secrets) {
    const Ref text = to_text(value);
    if (!all || !text || PyDict_SetItemString(all.get(), name.c_str(), text.get()) < 0) return {};
  }
  return all;
}

class PythonLogic final : public Logic {
 public:
  explicit PythonLogic(const PythonOptions& options) : options_(options) {
    link_.current = options_.current != nullptr ? options_.current : &own_current_;
  }
  ~PythonLogic() override { close(); }

  bool non_blocking() const override { return false; }

  Status open(LogicContext& context) override {
    FMESH_CHECK(start_python());
    const Locked locked;
    link_.context = &context;
    host_ = make_host_object(link_);
    Ref opened;
    if (host_) opened = call_host_module("open_function", arguments(context).get());
    if (!opened || !take(opened.get())) {
      std::string text = take_exception();
      clear();
      return fail(ErrorKind::kFixInput, std::move(text));
    }
    return {};
  }

  void process(std::span<const LogicRecord> records, BatchContext& batch) override {
    const Locked locked;
    const AtWork scope(*this, records, batch);
    for (size_t i = 0; i < records.size(); ++i) {
      *link_.current = i;
      run_one(i, batch);
    }
  }

  void process_window(std::span<const LogicRecord> records, const WindowInfo&, BatchContext& batch) override {
    if (records.empty()) return;
    const Locked locked;
    const AtWork scope(*this, records, batch);
    *link_.current = 0;
    const Ref inputs = Ref::steal(PyList_New(0));
    for (const LogicRecord& record : records) {
      const Ref input = decode(decoder_for(record.topic), record.record.payload);
      if (!inputs || !input || PyList_Append(inputs.get(), input.get()) < 0) return fail_at(0, batch);
    }
    *link_.current = records.size() - 1;  // the context speaks of the last one
    give(records.size() - 1, Ref::steal(call(inputs.get())), batch);
  }

  void close() override {
    if (link_.context == nullptr) return;
    const Locked locked;
    const Ref done = call_host_module("close_function", Ref::steal(PyTuple_New(0)).get());
    if (!done) link_.context->log("warn", "while it was closed: " + take_exception());
    clear();
  }

 private:
  // Sets what the Host object refers to, for one call.
  class AtWork {
   public:
    AtWork(PythonLogic& logic, std::span<const LogicRecord> records, BatchContext& batch) : link_(logic.link_) {
      link_.records = records;
      link_.batch = &batch;
      link_.thread = PyThread_get_thread_ident();
    }
    ~AtWork() {
      link_.batch = nullptr;
      link_.records = {};
    }
    AtWork(const AtWork&) = delete;
    AtWork& operator=(const AtWork&) = delete;

   private:
    HostLink& link_;
  };

  // (host, settings) for open_function().
  Ref arguments(LogicContext& context) const {
    const model::InstanceSpec& spec = context.spec();
    const model::FunctionDetails& details = spec.details;
    const model::SinkSpec sink = details.sink.value_or(model::SinkSpec{});
    Ref settings = Ref::steal(PyDict_New());
    const auto set = [&](const char* name, Ref value) {
      if (settings && (!value || PyDict_SetItemString(settings.get(), name, value.get()) < 0)) settings = Ref();
    };
    set("class_name", to_text(details.class_name));
    set("path", to_text(spec.library_path));
    set("directory", to_text(options_.directory));
    set("component", to_text(spec.component));
    set("tenant", to_text(details.tenant));
    set("namespace", to_text(details.name_space));
    set("name", to_text(details.name));
    set("config", to_text(details.user_config));
    set("instance_id", Ref::steal(PyLong_FromLong(spec.instance_id)));
    set("instance_count", Ref::steal(PyLong_FromLong(spec.instance_count)));
    set("inputs", inputs_of(details));
    set("input_topics", topics_of(context));
    set("secrets", secrets_of(spec));
    set("output_topic", to_text(context.output()));
    set("output_serde", to_text(sink.serde_class_name));
    set("output_schema", to_text(sink.schema_type));
    set("dump_signal", Ref::steal(PyLong_FromLong(options_.dump_signal)));
    return settings ? Ref::steal(PyTuple_Pack(2, host_.get(), settings.get())) : Ref();
  }

  // (callable, context or None, {topic: how}, how for other topics, encoder or None). False with an exception set.
  bool take(PyObject* opened) {
    opened_ = Ref::borrow(opened);
    PyObject *function, *context, *by_topic, *others, *encoder;
    if (!PyArg_ParseTuple(opened, "OOO!OO", &function, &context, &PyDict_Type, &by_topic, &others, &encoder))
      return false;
    function_ = function;
    context_ = context == Py_None ? nullptr : context;
    encoder_ = encoder == Py_None ? nullptr : encoder;
    others_ = decoder_of(others);
    PyObject *topic, *how;
    for (Py_ssize_t at = 0; PyDict_Next(by_topic, &at, &topic, &how) != 0;) {
      const char* const name = PyUnicode_AsUTF8(topic);
      if (name == nullptr) return false;
      decoders_[name] = decoder_of(how);
    }
    return true;
  }

  void clear() {
    function_ = context_ = encoder_ = nullptr;
    decoders_.clear();
    others_ = {};
    opened_ = Ref();
    if (host_) detach(host_.get());
    host_ = Ref();
    link_.context = nullptr;
  }

  const Decoder& decoder_for(std::string_view topic) const {
    const auto found = decoders_.find(topic.substr(0, topic.rfind(kPartitionMark)));
    return found != decoders_.end() ? found->second : others_;
  }

  PyObject* call(PyObject* input) const {
    // One place in front that the callee may use.
    std::array<PyObject*, 3> arguments = {nullptr, input, context_};
    const size_t count = context_ != nullptr ? 2 : 1;
    return PyObject_Vectorcall(function_, arguments.data() + 1, count | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
  }

  void run_one(size_t index, BatchContext& batch) {
    const LogicRecord& record = link_.records[index];
    const Ref input = decode(decoder_for(record.topic), record.record.payload);
    if (!input) return fail_at(index, batch);
    give(index, Ref::steal(call(input.get())), batch);
  }

  // What the function returned, or an exception.
  void give(size_t index, Ref result, BatchContext& batch) {
    if (!result) return fail_at(index, batch);
    if (result.get() == Py_None) return;
    if (encoder_ != nullptr) {
      result = Ref::steal(PyObject_CallOneArg(encoder_, result.get()));
      if (!result) return fail_at(index, batch);
    }
    stream::RecordView out;
    if (PyUnicode_CheckExact(result.get()) != 0) {
      Py_ssize_t size = 0;
      const char* const text = PyUnicode_AsUTF8AndSize(result.get(), &size);
      if (text == nullptr) return fail_at(index, batch);
      out.payload = {text, static_cast<size_t>(size)};
      return batch.output(index, out);
    }
    if (PyBytes_Check(result.get()) == 0) {
      result = encode(result.get());
      if (!result) return fail_at(index, batch);
    }
    out.payload = {PyBytes_AS_STRING(result.get()), static_cast<size_t>(PyBytes_GET_SIZE(result.get()))};
    batch.output(index, out);
  }

  static void fail_at(size_t index, BatchContext& batch) { batch.failed(index, take_exception()); }

  const PythonOptions options_;
  size_t own_current_ = 0;
  HostLink link_;
  Ref host_, opened_;
  PyObject *function_ = nullptr, *context_ = nullptr, *encoder_ = nullptr;  // of opened_
  std::map<std::string, Decoder, std::less<>> decoders_;
  Decoder others_;
};

}  // namespace

std::unique_ptr<Logic> make_python_logic(const PythonOptions& options) {
  return std::make_unique<PythonLogic>(options);
}

}  // namespace fmesh::runtime
