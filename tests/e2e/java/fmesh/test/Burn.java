package fmesh.test;

import org.apache.pulsar.functions.api.Context;
import org.apache.pulsar.functions.api.Function;

/** Keeps a processor busy for `milliseconds` per record, then passes it on. */
public class Burn implements Function<byte[], byte[]> {
  @Override
  public byte[] process(byte[] input, Context context) {
    long nanoseconds = 1_000_000L * ((Number) context.getUserConfigValue("milliseconds").get()).longValue();
    long start = System.nanoTime();
    while (System.nanoTime() - start < nanoseconds) {
      Thread.onSpinWait();
    }
    return input;
  }
}
