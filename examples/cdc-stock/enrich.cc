// From what Debezium says of a row to a document for a search index.
#include <fmesh/function.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

struct Order {
  int64_t id = 0;
  std::string item;
  int64_t quantity = 0;
  int64_t cents = 0;
};
FMESH_JSON(Order, id, item, quantity, cents)

// Debezium's envelope, as far as it matters here.
struct Change {
  std::optional<Order> before, after;
  std::string op;  // r: it was there at the start; c, u, d
};
FMESH_JSON(Change, before, after, op)

struct Document {
  int64_t id = 0;
  bool deleted = false;
  std::optional<std::string> item;
  std::optional<int64_t> quantity, cents, total_cents;
  std::optional<std::string> size;
};
FMESH_JSON(Document, id, deleted, item, quantity, cents, total_cents, size)

namespace {

constexpr int64_t kLargeCents = 100'000;

// The id of a row is the key of its document, so that a change replaces it. Elasticsearch's connector takes no record
// without a value, so a row that is gone becomes a document that says so.
struct Enrich : fmesh::Function<Change, fmesh::Record<Document>> {
  std::optional<Out> process(const Change& change, fmesh::Context&) override {
    Document document;
    if (change.after) {
      const Order& order = *change.after;
      document.id = order.id;
      document.item = order.item;
      document.quantity = order.quantity;
      document.cents = order.cents;
      document.total_cents = order.quantity * order.cents;
      document.size = *document.total_cents >= kLargeCents ? "large" : "small";
    } else if (change.before) {
      document.id = change.before->id;
      document.deleted = true;
    } else {
      throw std::invalid_argument("a change without a row: op " + change.op);
    }
    return Out{document, std::to_string(document.id), {}, {}};
  }
};

}  // namespace

FMESH_FUNCTIONS(fmesh::function<Enrich>("enrich", FMESH_NON_BLOCKING))
