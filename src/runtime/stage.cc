#include "runtime/stage.h"

#include <utility>
#include <vector>

namespace fmesh::runtime {
namespace {

class LogicStage final : public Stage {
 public:
  LogicStage(std::unique_ptr<Logic> logic, LogicContext& context) : logic_(std::move(logic)), context_(context) {}
  bool non_blocking() const override { return logic_->non_blocking(); }
  bool takes_batches() const override { return logic_->takes_batches(); }
  Status open() override { return logic_->open(context_); }
  Status run(std::span<const LogicRecord> records, Effects& effects) override {
    logic_->process(records, effects);
    return {};
  }
  void close() override { logic_->close(); }

 private:
  std::unique_ptr<Logic> logic_;
  LogicContext& context_;
};

class SinkStage final : public Stage {
 public:
  SinkStage(std::unique_ptr<Sink> sink, ConnectorContext& context) : sink_(std::move(sink)), context_(context) {}
  bool non_blocking() const override { return sink_->non_blocking(); }
  bool takes_batches() const override { return true; }
  Status open() override { return sink_->open(context_); }
  Status run(std::span<const LogicRecord> records, Effects& effects) override {
    std::vector<stream::RecordView> views;
    views.reserve(records.size());
    for (const LogicRecord& record : records) views.push_back(record.record);
    FMESH_TRY(const std::vector<WriteFailure> failures, sink_->write(views));
    for (const WriteFailure& failure : failures) effects.failed(failure.index, failure.error.text());
    return {};
  }
  std::optional<std::string> position() const override {
    std::string position = sink_->position();
    if (position.empty()) return std::nullopt;
    return position;
  }
  void close() override { sink_->close(); }

 private:
  std::unique_ptr<Sink> sink_;
  ConnectorContext& context_;
};

}  // namespace

std::shared_ptr<Stage> make_logic_stage(std::unique_ptr<Logic> logic, LogicContext& context) {
  return std::make_shared<LogicStage>(std::move(logic), context);
}

std::shared_ptr<Stage> make_sink_stage(std::unique_ptr<Sink> sink, ConnectorContext& context) {
  return std::make_shared<SinkStage>(std::move(sink), context);
}

}  // namespace fmesh::runtime
