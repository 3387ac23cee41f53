// The rules a resource has to meet beyond types and limits: upstream's webhook rules with their defects mended, the
// rules of what fmesh adds, and the rules between resources that need no graph. Pure; findings carry the place they
// were written at.
#pragma once

#include "model/host.h"
#include "model/resource_set.h"

namespace fmesh::model {

// Longer names make a StatefulSet's revision label too long (63 characters with its suffixes).
inline constexpr size_t kNameMaxCharacters = 43;

struct ValidateOptions {
  Target target = Target::kLocal;
  BuiltinNames builtins;
};

// The rules for creating one component. REQUIRES: defaults are applied.
Diagnostics validate_component(const Component& component, const ValidateOptions& options);

// Of those rules the ones for pods of fmesh's image, which no pod can do without. Nothing for other pods.
Diagnostics validate_native_pod(const Component& component);

// The rules for changing `before` into `after`: those for creating it, except that it may be scaled to zero and that
// what was wrong before only warns; and warnings about changes that do not do what one may think.
Diagnostics validate_update(const Component& before, const Component& after, const ValidateOptions& options);

// All components, and the rules between them: a resource defined twice, names taken twice, secrets that are in no file
// (local). Findings of reading are not repeated, and neither are findings at paths that could not be read.
Diagnostics validate_set(const ResourceSet& resources, const ValidateOptions& options);

}  // namespace fmesh::model
