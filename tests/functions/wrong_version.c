/* A library of a later version of the ABI. */
#include <fmesh/abi.h>

static const fmesh_library_table table = {FMESH_ABI_VERSION + 1, sizeof(fmesh_library_table), 0, 0};

const fmesh_library_table* fmesh_library(void) { return &table; }
