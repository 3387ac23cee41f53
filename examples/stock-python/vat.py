"""Adds what an order costs with tax: "id;item;cents;currency" becomes "id;item;cents;currency;gross"."""

from pulsar import Function


class AddTax(Function):
    def process(self, order, context):
        parts = order.split(";")
        percent = int(context.get_user_config_value("percent"))
        gross = int(parts[2]) * (100 + percent) // 100
        context.get_logger().debug("%s: %d", parts[0], gross)
        return f"{order};{gross}"
