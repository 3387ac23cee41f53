package fmesh.test;

import java.nio.charset.StandardCharsets;
import org.apache.pulsar.functions.api.Context;
import org.apache.pulsar.functions.api.Function;

/** Turns bytes into text with "|text" behind it, so that a connector that wants a schema finds one. */
public class Spell implements Function<byte[], String> {
  @Override
  public String process(byte[] input, Context context) {
    return new String(input, StandardCharsets.UTF_8) + "|text";
  }
}
