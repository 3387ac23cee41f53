package org.example.orders;

import org.apache.pulsar.functions.api.Context;
import org.apache.pulsar.functions.api.Function;

/** What an order costs: "id;item;count;cents" becomes "id;item;cents;currency". */
public class Total implements Function<String, String> {
    @Override
    public String process(String order, Context context) {
        String[] parts = order.split(";");
        if (parts.length != 4) {
            throw new IllegalArgumentException("expected id;item;count;cents, found " + order);
        }
        long cents = Long.parseLong(parts[2]) * Long.parseLong(parts[3]);
        context.recordMetric("cents", cents);
        Object currency = context.getUserConfigValueOrDefault("currency", "EUR");
        return String.join(";", parts[0], parts[1], Long.toString(cents), currency.toString());
    }
}
