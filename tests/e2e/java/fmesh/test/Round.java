package fmesh.test;

import java.nio.charset.StandardCharsets;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.functions.api.Context;
import org.apache.pulsar.functions.api.Function;

/** One hop of a ring: "N" or "N:HOPS" becomes "N:HOPS+1"; after `hops` of them the record leaves for the topic `done`. */
public class Round implements Function<byte[], byte[]> {
  @Override
  public byte[] process(byte[] input, Context context) throws PulsarClientException {
    String[] words = new String(input, StandardCharsets.UTF_8).split(":");
    int hops = 1 + (words.length > 1 ? Integer.parseInt(words[1]) : 0);
    byte[] output = (words[0] + ":" + hops).getBytes(StandardCharsets.UTF_8);
    if (hops < ((Number) context.getUserConfigValue("hops").get()).intValue()) {
      return output;
    }
    context.newOutputMessage(context.getUserConfigValue("done").get().toString(), Schema.BYTES).value(output).send();
    return null;
  }
}
