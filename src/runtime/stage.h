// What an instance does with a batch of records: a function's logic or a sink, behind one door, so that one pipeline
// feeds both. A stage is shared by the instance and the worker that runs it; its calls never overlap, as jobs of one
// key.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "runtime/connector.h"
#include "runtime/effects.h"
#include "runtime/logic.h"

namespace fmesh::runtime {

class Stage {
 public:
  virtual ~Stage() = default;
  virtual bool non_blocking() const = 0;
  virtual bool takes_batches() const = 0;
  virtual Status open() = 0;
  // Errors: the batch as a whole could not be handed over; it is tried again.
  virtual Status run(std::span<const LogicRecord> records, Effects& effects) = 0;
  // To be stored with the acknowledgement of the records run so far; nothing: this stage has no position.
  virtual std::optional<std::string> position() const { return std::nullopt; }
  virtual void close() = 0;
};

// `context` outlives the stage.
std::shared_ptr<Stage> make_logic_stage(std::unique_ptr<Logic> logic, LogicContext& context);
std::shared_ptr<Stage> make_sink_stage(std::unique_ptr<Sink> sink, ConnectorContext& context);

}  // namespace fmesh::runtime
