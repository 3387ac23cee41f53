// The functions of the orders example: validate, enrich, retry and totals.
#include <fmesh/function.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

struct Order {
  std::string order_id;
  std::string customer;
  std::string sku;
  int64_t quantity = 0;
  int64_t ordered_at_ms = 0;
  std::optional<int64_t> attempts;  // how often its product was looked up in vain
  std::optional<std::string> category;
  std::optional<int64_t> amount_cents;
};
FMESH_JSON(Order, order_id, customer, sku, quantity, ordered_at_ms, attempts, category, amount_cents)

struct Product {
  std::string sku;
  std::string name;
  std::string category;
  int64_t price_cents = 0;
};
FMESH_JSON(Product, sku, name, category, price_cents)

struct Totals {
  int64_t window_start_ms = 0;
  int64_t window_end_ms = 0;
  int64_t orders = 0;
  int64_t items = 0;
  int64_t revenue_cents = 0;
  std::map<std::string, int64_t> by_category;
};
FMESH_JSON(Totals, window_start_ms, window_end_ms, orders, items, revenue_cents, by_category)

namespace {

constexpr int64_t kQuantityMax = 1000;
constexpr int64_t kRetryDelayMs = 250;

// Fails what is no order; gives the others the time at which they were placed.
struct Validate : fmesh::Function<Order, fmesh::Record<Order>> {
  std::optional<Out> process(const Order& order, fmesh::Context&) override {
    if (order.order_id.empty()) throw std::invalid_argument("order_id is missing");
    if (order.sku.empty()) throw std::invalid_argument("sku is missing");
    if (order.quantity < 1 || order.quantity > kQuantityMax)
      throw std::invalid_argument("quantity is " + std::to_string(order.quantity) + ", expected 1 to 1000");
    if (order.ordered_at_ms <= 0) throw std::invalid_argument("ordered_at_ms is missing");
    return Out{order, order.sku, order.ordered_at_ms, {}};
  }
};

// Keeps products in the state; adds category and amount to orders. An order of an unknown product counts its attempts.
struct Enrich : fmesh::Function<std::string_view, Order> {
  std::optional<Order> process(const std::string_view& payload, fmesh::Context& context) override {
    if (context.input().topic().ends_with("/products")) {
      const auto product = fmesh::json::parse<Product>(payload);
      if (product.sku.empty()) throw std::invalid_argument("sku is missing");
      context.put_state(product.sku, product);
      return std::nullopt;
    }
    auto order = fmesh::json::parse<Order>(payload);
    if (const auto product = context.get_state_as<Product>(order.sku)) {
      order.category = product->category;
      order.amount_cents = order.quantity * product->price_cents;
      order.attempts.reset();
    } else {
      order.attempts = order.attempts.value_or(0) + 1;
    }
    return order;
  }
};

// Holds an order back until it has waited long enough, then passes it on. It blocks, so it runs on a worker.
struct Retry : fmesh::Function<std::string_view, std::string_view> {
  std::optional<std::string_view> process(const std::string_view& payload, fmesh::Context& context) override {
    const int64_t wait_ms = context.input().publish_time_ms() + kRetryDelayMs - context.now_ms();
    if (wait_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(std::min(wait_ms, kRetryDelayMs)));
    return payload;
  }
};

struct AddUp : fmesh::WindowFunction<Order, Totals> {
  std::optional<Totals> process(const std::vector<Order>& orders, const Window& window, fmesh::Context&) override {
    Totals totals{window.start_ms, window.end_ms, static_cast<int64_t>(orders.size()), 0, 0, {}};
    for (const Order& order : orders) {
      const int64_t amount_cents = order.amount_cents.value_or(0);
      totals.items += order.quantity;
      totals.revenue_cents += amount_cents;
      totals.by_category[order.category.value_or("unknown")] += amount_cents;
    }
    return totals;
  }
};

}  // namespace

FMESH_FUNCTIONS(fmesh::function<Validate>("validate", FMESH_NON_BLOCKING),
                fmesh::function<Enrich>("enrich", FMESH_NON_BLOCKING), fmesh::function<Retry>("retry"),
                fmesh::function<AddUp>("totals", FMESH_NON_BLOCKING))
