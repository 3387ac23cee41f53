package fmesh.test;

import java.nio.charset.StandardCharsets;
import org.apache.pulsar.functions.api.Context;
import org.apache.pulsar.functions.api.Function;

/** Writes "|NAME" behind what it reads; NAME is the value `mark` of the function's configuration. */
public class Mark implements Function<byte[], byte[]> {
  @Override
  public byte[] process(byte[] input, Context context) {
    return (new String(input, StandardCharsets.UTF_8) + "|" + context.getUserConfigValueOrDefault("mark", "?")).getBytes(StandardCharsets.UTF_8);
  }
}
