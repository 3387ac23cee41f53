#include "sim/simulated_logic.h"

#include <algorithm>

#include "runtime/connector.h"
#include "runtime/logic.h"

namespace fmesh::sim {
namespace {

Brain* current = nullptr;

class SimulatedLogic final : public runtime::Logic {
 public:
  SimulatedLogic(const FunctionPlan& plan, Brain& brain) : plan_(plan), brain_(brain) {}
  bool non_blocking() const override { return !plan_.blocking; }
  bool takes_batches() const override { return false; }
  Status open(runtime::LogicContext&) override { return {}; }

  void process(std::span<const runtime::LogicRecord> records, runtime::BatchContext& batch) override {
    for (size_t i = 0; i < records.size(); ++i) {
      const std::string payload(records[i].record.payload);
      emit(payload, records[i].record, i, batch);
      // After its effects, so that they have to be undone.
      int& failures = brain_.failures[{plan_.name, payload}];
      if (plan_.fails_for_ever(payload) || failures < plan_.failures_first(payload)) {
        ++failures;
        batch.failed(i, "as planned");
      }
    }
  }

  void process_window(std::span<const runtime::LogicRecord> records, const runtime::WindowInfo&,
                      runtime::BatchContext& batch) override {
    std::string all;
    for (const runtime::LogicRecord& record : records)
      all += (all.empty() ? "" : "|") + std::string(record.record.payload);
    stream::RecordView out;
    out.payload = all;
    batch.output(0, out);
  }
  void close() override {}

 private:
  void emit(const std::string& payload, const stream::RecordView& in, size_t index, runtime::BatchContext& batch) {
    if (plan_.counts && !batch.counter_add(index, in.key, 1)) return batch.failed(index, "the counter failed");
    const std::string& destination = plan_.destination(payload);
    if (destination.empty()) return;
    const std::string bytes = payload + "/" + plan_.name;
    stream::RecordView out;
    out.payload = bytes;
    out.has_key = true;
    out.key = in.key;
    if (destination == plan_.output) return batch.output(index, out);
    if (!batch.publish(index, destination, out)) batch.failed(index, "the publish failed");
  }

  const FunctionPlan& plan_;
  Brain& brain_;
};

}  // namespace

void set_brain(Brain* brain) { current = brain; }

}  // namespace fmesh::sim

namespace fmesh::runtime {

Result<std::unique_ptr<Logic>> make_logic(const model::InstanceSpec& spec, const std::string&) {
  const auto& functions = sim::current->topology->functions;
  const auto found = std::ranges::find(functions, spec.component, &sim::FunctionPlan::name);
  if (found == functions.end()) return fail(ErrorKind::kBug, spec.component + " is not part of the simulation");
  return std::make_unique<sim::SimulatedLogic>(*found, *sim::current);
}

std::span<const ConnectorKind> connector_kinds() { return {}; }

}  // namespace fmesh::runtime
