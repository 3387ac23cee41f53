// What the clients of this folder need of an IoLoop.
#pragma once

#include <boost/asio/io_context.hpp>

#include "net/io_loop.h"

namespace fmesh::net {

// REQUIRES: the loop was made by IoLoop::start().
boost::asio::io_context& context_of(IoLoop& loop);

}  // namespace fmesh::net
