// Removes what a deleted resource left in Pulsar: its subscriptions, the topic between the two halves of a batch
// source, and its package where it says so. Address and credentials are those that its resource gives its pods, read
// from the ConfigMap and Secrets it names; nothing of them is kept or told.
//
// Belongs to its loop; when it goes, there, its cleanups end without a callback.
#pragma once

#include <memory>

#include "kube/api.h"
#include "net/io_loop.h"
#include "operator/runner.h"
#include "stream/pulsar/address.h"

namespace fmesh::op {

std::unique_ptr<Cleaner> make_pulsar_cleaner(net::IoLoop& loop, kube::Api& api, stream::pulsar::AllowedHosts hosts);

}  // namespace fmesh::op
