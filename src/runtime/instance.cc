#include "runtime/instance.h"

#include <utility>

#include "runtime/input_instance.h"
#include "runtime/source_instance.h"
#include "runtime/window_instance.h"

namespace fmesh::runtime {

// Owns the part that callbacks refer to weakly.
class InstanceHandle final : public Instance {
 public:
  explicit InstanceHandle(std::shared_ptr<Lifecycle> instance) : instance_(std::move(instance)) {}
  ~InstanceHandle() override {
    const InstanceState state = instance_->state();
    if (state != InstanceState::kStopped && state != InstanceState::kFinished && state != InstanceState::kFailed)
      instance_->close();
  }
  const model::InstanceSpec& spec() const override { return instance_->spec(); }
  void start() override { instance_->start(); }
  void drain(int64_t limit_ms, std::function<void()> done) override { instance_->drain(limit_ms, std::move(done)); }
  bool idle() const override { return instance_->all_idle(); }
  void end_of_input() override { instance_->end_of_input(); }
  InstanceStats stats() const override { return instance_->stats(); }

 private:
  std::shared_ptr<Lifecycle> instance_;
};

std::unique_ptr<Instance> make_handle(std::shared_ptr<Lifecycle> lifecycle) {
  return std::make_unique<InstanceHandle>(std::move(lifecycle));
}

Result<std::unique_ptr<Instance>> make_instance(model::InstanceSpec spec, InstanceEnvironment environment) {
  switch (spec.host) {
    case model::HostKind::kSource:
      return std::make_unique<InstanceHandle>(
          std::make_shared<SourceInstance>(std::move(spec), std::move(environment)));
    case model::HostKind::kNative:
    case model::HostKind::kPython:
    case model::HostKind::kBuiltin: {
      Result<std::optional<WindowOptions>> window = WindowOptions::from_user_config(spec.details.user_config);
      if (!window) return fail(window.error().within(spec.component));
      if (*window)
        return std::make_unique<InstanceHandle>(
            std::make_shared<WindowInstance>(std::move(spec), std::move(environment), std::move(**window)));
      return std::make_unique<InstanceHandle>(std::make_shared<InputInstance>(std::move(spec), std::move(environment)));
    }
    case model::HostKind::kSink:
      return std::make_unique<InstanceHandle>(std::make_shared<InputInstance>(std::move(spec), std::move(environment)));
    case model::HostKind::kStock:
      break;
  }
  return fail(ErrorKind::kFixInput,
              spec.component + ": one of Pulsar's own instances is a process, which only fmesh run starts");
}

}  // namespace fmesh::runtime
