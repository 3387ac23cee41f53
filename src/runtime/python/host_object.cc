#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/python/host_private.h"

namespace fmesh::runtime {
namespace {

struct HostObject {
  PyObject_HEAD HostLink* link;
};

HostLink& link_of(PyObject* self) { return *reinterpret_cast<HostObject*>(self)->link; }

PyObject* raise(PyObject* type, const std::string& text) {
  PyErr_SetString(type, text.c_str());
  return nullptr;
}

PyObject* raise(const Error& error) { return raise(PyExc_ValueError, error.text()); }

// Null with an exception set if no record is at work on this thread.
HostLink* at_work(PyObject* self) {
  HostLink& link = link_of(self);
  if (link.batch != nullptr && link.thread == PyThread_get_thread_ident()) return &link;
  raise(PyExc_RuntimeError, link.batch != nullptr
                                ? "this belongs to the record that is being processed, and so to the thread that "
                                  "processes it; this is another"
                                : "this belongs to a record, and none is being processed; call it within process()");
  return nullptr;
}

// State may lie in another process; others may run Python until it is here.
template <class Call>
auto unlocked(Call&& call) {
  const Unlocked scope;
  return call();
}

PyObject* none() { return Py_NewRef(Py_None); }

PyObject* message_id(PyObject* self, PyObject*) {
  const HostLink* const link = at_work(self);
  if (link == nullptr) return nullptr;
  const stream::MessageId& id = link->record().id;
  return Py_BuildValue("(LLii)", static_cast<long long>(id.ledger), static_cast<long long>(id.entry), id.partition,
                       id.batch_index);
}

PyObject* message_key(PyObject* self, PyObject*) {
  const HostLink* const link = at_work(self);
  if (link == nullptr) return nullptr;
  const stream::RecordView& record = link->record().record;
  return record.has_key ? to_text(record.key).release() : none();
}

PyObject* ordering_key(PyObject* self, PyObject*) {
  const HostLink* const link = at_work(self);
  if (link == nullptr) return nullptr;
  const stream::RecordView& record = link->record().record;
  return record.ordering_key.empty() ? none() : to_text(record.ordering_key).release();
}

PyObject* event_time_ms(PyObject* self, PyObject*) {
  const HostLink* const link = at_work(self);
  return link != nullptr ? PyLong_FromLongLong(link->record().record.event_time_ms) : nullptr;
}

PyObject* sequence_id(PyObject* self, PyObject*) {
  const HostLink* const link = at_work(self);
  return link != nullptr ? PyLong_FromUnsignedLongLong(link->record().record.sequence_id) : nullptr;
}

PyObject* redelivery_count(PyObject* self, PyObject*) {
  const HostLink* const link = at_work(self);
  return link != nullptr ? PyLong_FromUnsignedLong(link->record().redelivery_count) : nullptr;
}

PyObject* topic(PyObject* self, PyObject*) {
  const HostLink* const link = at_work(self);
  return link != nullptr ? to_text(link->record().topic).release() : nullptr;
}

PyObject* properties(PyObject* self, PyObject*) {
  const HostLink* const link = at_work(self);
  if (link == nullptr) return nullptr;
  Ref all = Ref::steal(PyDict_New());
  for (const stream::Property& property : link->record().record.properties) {
    const Ref key = to_text(property.key), value = to_text(property.value);
    if (!all || !key || !value || PyDict_SetItem(all.get(), key.get(), value.get()) < 0) return nullptr;
  }
  return all.release();
}

// The UTF-8 of a str, with what to_text() made of other bytes undone.
class Utf8 {
 public:
  // False with an exception set.
  bool take(PyObject* text) {
    bytes_ = Ref::steal(PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape"));
    return static_cast<bool>(bytes_);
  }
  std::string_view view() const {
    return {PyBytes_AS_STRING(bytes_.get()), static_cast<size_t>(PyBytes_GET_SIZE(bytes_.get()))};
  }

 private:
  Ref bytes_;
};

// publish(topic: str, payload: bytes, key: str | None, ordering_key: str | None, properties: dict | None, event_time:
// int)
PyObject* publish(PyObject* self, PyObject* arguments) {
  HostLink* const link = at_work(self);
  if (link == nullptr) return nullptr;
  PyObject *topic_text, *key, *ordering, *given;
  Py_buffer payload;
  long long event_time = 0;
  if (!PyArg_ParseTuple(arguments, "Uy*OOOL", &topic_text, &payload, &key, &ordering, &given, &event_time))
    return nullptr;
  stream::RecordView record;
  record.payload = {static_cast<const char*>(payload.buf), static_cast<size_t>(payload.len)};
  record.event_time_ms = event_time;
  Utf8 name, key_text, ordering_text;
  std::vector<std::pair<Utf8, Utf8>> texts;
  bool good = name.take(topic_text);
  if (good && key != Py_None) {
    good = key_text.take(key);
    record.has_key = good;
    if (good) record.key = key_text.view();
  }
  if (good && ordering != Py_None) {
    good = ordering_text.take(ordering);
    if (good) record.ordering_key = ordering_text.view();
  }
  if (good && given != Py_None) {
    PyObject *one_key, *one_value;
    Py_ssize_t at = 0;
    while (good && PyDict_Next(given, &at, &one_key, &one_value) != 0) {
      auto& [first, second] = texts.emplace_back();
      good = first.take(one_key) && second.take(one_value);
    }
  }
  std::vector<stream::Property> views;
  for (const auto& [first, second] : texts)
    if (good) views.push_back({first.view(), second.view()});
  record.properties = views;
  Status status;
  if (good) status = link->batch->publish(*link->current, name.view(), record);
  PyBuffer_Release(&payload);
  if (!good) return nullptr;
  return status ? none() : raise(status.error());
}

PyObject* ack_current(PyObject* self, PyObject*) {
  HostLink* const link = at_work(self);
  if (link == nullptr) return nullptr;
  link->batch->ack(*link->current);
  return none();
}

// ack(topic: str, ledger: int, entry: int, partition: int, batch_index: int)
PyObject* ack(PyObject* self, PyObject* arguments) {
  HostLink* const link = at_work(self);
  if (link == nullptr) return nullptr;
  const char* name = nullptr;
  long long ledger = 0, entry = 0;
  int partition = 0, batch_index = 0;
  if (!PyArg_ParseTuple(arguments, "sLLii", &name, &ledger, &entry, &partition, &batch_index)) return nullptr;
  const Status status = link->batch->ack(name, {ledger, entry, partition, batch_index});
  return status ? none() : raise(status.error());
}

PyObject* state_get(PyObject* self, PyObject* key) {
  HostLink* const link = at_work(self);
  Utf8 name;
  if (link == nullptr || !name.take(key)) return nullptr;
  const auto value = unlocked([&] { return link->batch->state_get(*link->current, name.view()); });
  if (!value) return raise(value.error());
  return *value ? to_bytes(**value).release() : none();
}

// state_put(key: str, value: bytes | None)
PyObject* state_put(PyObject* self, PyObject* arguments) {
  HostLink* const link = at_work(self);
  PyObject *key, *value;
  Utf8 name;
  if (link == nullptr || !PyArg_ParseTuple(arguments, "UO", &key, &value) || !name.take(key)) return nullptr;
  std::optional<std::string_view> bytes;
  if (value != Py_None) {
    char* data = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(value, &data, &size) < 0) return nullptr;
    bytes = std::string_view(data, static_cast<size_t>(size));
  }
  const Status status = link->batch->state_put(*link->current, name.view(), bytes);
  return status ? none() : raise(status.error());
}

// counter_add(key: str, delta: int) -> int
PyObject* counter_add(PyObject* self, PyObject* arguments) {
  HostLink* const link = at_work(self);
  PyObject* key = nullptr;
  long long delta = 0;
  Utf8 name;
  if (link == nullptr || !PyArg_ParseTuple(arguments, "UL", &key, &delta) || !name.take(key)) return nullptr;
  const auto value = unlocked([&] { return link->batch->counter_add(*link->current, name.view(), delta); });
  return value ? PyLong_FromLongLong(*value) : raise(value.error());
}

// log(level: str, text: str)
PyObject* log(PyObject* self, PyObject* arguments) {
  const char* level = nullptr;
  PyObject* text = nullptr;
  Utf8 bytes;
  if (!PyArg_ParseTuple(arguments, "sU", &level, &text) || !bytes.take(text)) return nullptr;
  if (LogicContext* const context = link_of(self).context) {
    // The host may be slow to take it, and others need not wait for that.
    const Unlocked unlocked;
    context->log(level, bytes.view());
  }
  return none();
}

// metric(name: str, value: float)
PyObject* metric(PyObject* self, PyObject* arguments) {
  const char* name = nullptr;
  double value = 0;
  if (!PyArg_ParseTuple(arguments, "sd", &name, &value)) return nullptr;
  if (LogicContext* const context = link_of(self).context) context->metric(name, value);
  return none();
}

std::array methods = {
    PyMethodDef{"message_id", message_id, METH_NOARGS, nullptr},
    PyMethodDef{"message_key", message_key, METH_NOARGS, nullptr},
    PyMethodDef{"ordering_key", ordering_key, METH_NOARGS, nullptr},
    PyMethodDef{"event_time_ms", event_time_ms, METH_NOARGS, nullptr},
    PyMethodDef{"sequence_id", sequence_id, METH_NOARGS, nullptr},
    PyMethodDef{"redelivery_count", redelivery_count, METH_NOARGS, nullptr},
    PyMethodDef{"topic", topic, METH_NOARGS, nullptr},
    PyMethodDef{"properties", properties, METH_NOARGS, nullptr},
    PyMethodDef{"publish", publish, METH_VARARGS, nullptr},
    PyMethodDef{"ack_current", ack_current, METH_NOARGS, nullptr},
    PyMethodDef{"ack", ack, METH_VARARGS, nullptr},
    PyMethodDef{"state_get", state_get, METH_O, nullptr},
    PyMethodDef{"state_put", state_put, METH_VARARGS, nullptr},
    PyMethodDef{"counter_add", counter_add, METH_VARARGS, nullptr},
    PyMethodDef{"log", log, METH_VARARGS, nullptr},
    PyMethodDef{"metric", metric, METH_VARARGS, nullptr},
    PyMethodDef{nullptr, nullptr, 0, nullptr},
};

std::array slots = {
    PyType_Slot{Py_tp_methods, methods.data()},
    PyType_Slot{0, nullptr},
};

PyType_Spec spec = {"_fmesh.Host", sizeof(HostObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots.data()};

}  // namespace

Ref make_host_object(HostLink& link) {
  static PyObject* const type = PyType_FromSpec(&spec);  // lives as long as the interpreter
  if (type == nullptr) return {};
  auto* const made = PyObject_New(HostObject, reinterpret_cast<PyTypeObject*>(type));
  if (made != nullptr) made->link = &link;
  return Ref::steal(reinterpret_cast<PyObject*>(made));
}

void detach(PyObject* host) {
  static HostLink nothing;
  reinterpret_cast<HostObject*>(host)->link = &nothing;
}

}  // namespace fmesh::runtime
