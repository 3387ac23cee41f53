// One description per field of every resource: name, type, default, limits, whether it is required, what it means, and
// how to reach it in the C++ value. Reading, writing, defaulting, the CRD schemas, `fmesh explain` and the reference
// page walk over these tables and know no field by name.
//
// Constant tables, made at first use, read from any thread.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "model/document.h"
#include "model/spec.h"

namespace fmesh::model {

using Kinds = unsigned;  // a set of Kind
inline constexpr Kinds kF = static_cast<Kinds>(Kind::kFunction);
inline constexpr Kinds kSo = static_cast<Kinds>(Kind::kSource);
inline constexpr Kinds kSi = static_cast<Kinds>(Kind::kSink);
inline constexpr Kinds kComponents = kF | kSo | kSi;
inline constexpr Kinds kEvery =
    kComponents | static_cast<Kinds>(Kind::kFunctionMesh) | static_cast<Kinds>(Kind::kBackendConfig);

enum class FieldType {
  kString,
  kBool,
  kInt32,
  kInt64,
  kStringList,
  kStringMap,
  kQuantityMap,  // values are Kubernetes quantities: "100m", "1Gi", 2
  kStruct,
  kStructList,
  kStructMap,
  kJson,      // any object, carried whole
  kJsonList,  // a list of such objects
};

struct StructInfo;
struct FieldInfo;
class Reader;

// What the walkers need of one C++ type of storage. `at` points to the member.
struct Storage {
  FieldType type;
  const StructInfo* (*structure)();  // of kStruct...; else null
  bool (*present)(const void* at);   // given, by upstream's rule (not empty, not zero, or an optional with a value)
  // Takes `node`; what is wrong is reported to the reader. REQUIRES: node is not null.
  void (*read)(void* at, const FieldInfo& field, const Node& node, const Path& path, Reader& reader);
  boost::json::value (*write)(const void* at, Kinds kind);
  // Calls `visit` for each struct inside; used by defaulting.
  void (*each)(void* at, void* closure, void (*visit)(void* closure, void* object));
};

struct FieldInfo {
  std::string_view name{};
  std::string_view meaning{};  // one line
  Kinds kinds = kEvery;        // which resources have it
  bool required = false;
  bool always_written = false;      // written even if empty, as upstream does
  std::string_view default_json{};  // applied if not given; empty: none
  Kinds default_kinds = kEvery;     // where the default applies
  std::string_view default_note{};  // a default that depends on other fields, in words
  std::optional<int64_t> minimum{};
  std::vector<std::string_view> values{};  // the only ones allowed; empty: any
  std::string_view json_type{};            // of kJson: the Kubernetes type it is, for people
  const Storage* storage = nullptr;
  void* (*member)(void* object) = nullptr;

  FieldType type() const;
  const void* at(const void* object) const { return member(const_cast<void*>(object)); }
};

struct StructInfo {
  std::string_view name;
  std::vector<FieldInfo> fields;

  const FieldInfo* find(std::string_view field_name, Kinds kind) const;
};

// The descriptions of T's fields.
template <class T>
const StructInfo& struct_info();
template <>
const StructInfo& struct_info<KeyReference>();
template <>
const StructInfo& struct_info<SecretReference>();
template <>
const StructInfo& struct_info<CryptoSecret>();
template <>
const StructInfo& struct_info<CryptoConfig>();
template <>
const StructInfo& struct_info<ConsumerConfig>();
template <>
const StructInfo& struct_info<InputConfig>();
template <>
const StructInfo& struct_info<ProducerConfig>();
template <>
const StructInfo& struct_info<OutputConfig>();
template <>
const StructInfo& struct_info<BatchSourceConfig>();
template <>
const StructInfo& struct_info<InlineSource>();
template <>
const StructInfo& struct_info<InlineSink>();
template <>
const StructInfo& struct_info<WindowConfig>();
template <>
const StructInfo& struct_info<LogSettings>();
template <>
const StructInfo& struct_info<JavaRuntime>();
template <>
const StructInfo& struct_info<PythonRuntime>();
template <>
const StructInfo& struct_info<GoRuntime>();
template <>
const StructInfo& struct_info<GenericRuntime>();
template <>
const StructInfo& struct_info<TlsConfig>();
template <>
const StructInfo& struct_info<Oauth2Config>();
template <>
const StructInfo& struct_info<GenericAuth>();
template <>
const StructInfo& struct_info<AuthConfig>();
template <>
const StructInfo& struct_info<PulsarMessaging>();
template <>
const StructInfo& struct_info<JavaStateProvider>();
template <>
const StructInfo& struct_info<PulsarState>();
template <>
const StructInfo& struct_info<StatefulConfig>();
template <>
const StructInfo& struct_info<Liveness>();
template <>
const StructInfo& struct_info<VpaUpdatePolicy>();
template <>
const StructInfo& struct_info<VpaSpec>();
template <>
const StructInfo& struct_info<PodPolicy>();
template <>
const StructInfo& struct_info<ResourceRequirements>();
template <>
const StructInfo& struct_info<ClaimRetentionPolicy>();
template <>
const StructInfo& struct_info<ComponentSpec>();
template <>
const StructInfo& struct_info<MeshSpec>();
template <>
const StructInfo& struct_info<BackendConfigSpec>();
template <>
const StructInfo& struct_info<ResourceCondition>();
template <>
const StructInfo& struct_info<ComponentStatus>();
template <>
const StructInfo& struct_info<MeshStatus>();

// How a type is called in messages and pages: "string", "list of strings", "Affinity (Kubernetes)".
std::string type_name(const FieldInfo& field);

// --- walkers ---

// Reads trees into values and collects what is wrong: unknown fields, wrong types, values out of limits, missing
// fields.
class Reader {
 public:
  Reader(std::string file, Kinds kind) : file_(std::move(file)), kind_(kind) {}
  void read(const StructInfo& info, void* object, const Node& node, const Path& path);
  void error(const Node& node, const Path& path, std::string text);
  void error_at_key(const Entry& entry, const Path& path, std::string text);
  void expected(const Node& node, const Path& path, std::string_view what);
  Kinds kind() const { return kind_; }
  Diagnostics take() { return std::move(findings_); }
  bool ok() const { return findings_.ok(); }

 private:
  std::string file_;
  Kinds kind_;
  Diagnostics findings_;
};

// Fields that are given, in the order declared.
boost::json::value write(const StructInfo& info, const void* object, Kinds kind);
// Sets every field that is not given and has a default_json for `kind`.
void apply_defaults(const StructInfo& info, void* object, Kinds kind);

}  // namespace fmesh::model
