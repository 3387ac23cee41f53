package org.example.people;

import org.apache.pulsar.client.api.schema.GenericRecord;
import org.apache.pulsar.functions.api.Context;
import org.apache.pulsar.functions.api.Function;

/** Reads records by the schema of their topic, whatever it is, and writes JSON text. For stock_test.py. */
public class Greet implements Function<GenericRecord, String> {
    @Override
    public String process(GenericRecord person, Context context) {
        return "{\"hello\":\"" + person.getField("firstName") + "\",\"age\":" + person.getField("age") + "}";
    }
}
