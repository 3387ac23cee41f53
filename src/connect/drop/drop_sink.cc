#include "connect/drop/drop_sink.h"

#include "connect/config.h"

namespace fmesh::connect {
namespace {

class DropSink final : public runtime::Sink {
 public:
  bool non_blocking() const override { return true; }
  Status open(runtime::ConnectorContext& context) override {
    FMESH_TRY([[maybe_unused]] const Config config, read_config({}, context.spec()));
    return {};
  }
  Result<std::vector<runtime::WriteFailure>> write(std::span<const stream::RecordView>) override {
    return std::vector<runtime::WriteFailure>();
  }
};

}  // namespace

std::unique_ptr<runtime::Sink> make_drop_sink() { return std::make_unique<DropSink>(); }

}  // namespace fmesh::connect
