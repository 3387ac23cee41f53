#include "plan/cluster/command.h"

namespace fmesh::plan {

bool same_command(const std::vector<std::string>& left, const std::vector<std::string>& right) { return left == right; }

}  // namespace fmesh::plan
