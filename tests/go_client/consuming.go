package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
)

func producesAndConsumes(f *fixture) {
	consumer := f.consumer("orders", pulsar.Exclusive)
	producer := f.producer("orders")
	eventTime := time.UnixMilli(1_700_000_000_123)
	sendNumbers(producer, 0, 1000, func(i int, message *pulsar.ProducerMessage) {
		message.Key = fmt.Sprintf("k%d", i%7)
		message.OrderingKey = "o"
		message.Properties = map[string]string{"n": strconv.Itoa(i)}
		message.EventTime = eventTime
	})
	for i := range 1000 {
		message := receive(consumer)
		equal(number(message), i)
		equal(message.Key(), fmt.Sprintf("k%d", i%7))
		equal(message.OrderingKey(), "o")
		equal(message.Properties()["n"], strconv.Itoa(i))
		check(message.EventTime().Equal(eventTime), "event time %v", message.EventTime())
		equal(message.ProducerName(), producer.Name())
		equal(message.Topic(), "persistent://public/default/orders")
		succeeds(consumer.Ack(message))
	}
	_, err := f.client.Subscribe(pulsar.ConsumerOptions{Topic: "orders", SubscriptionName: "s", Type: pulsar.Exclusive})
	check(err != nil && strings.Contains(err.Error(), "ConsumerBusy"), "a second exclusive consumer: %v", err)
	consumer.Close()
	isEmpty(f.consumer("orders", pulsar.Exclusive))
}

func payloadsComeAsTheyWent(f *fixture) {
	consumer := f.consumer("payloads", pulsar.Exclusive)
	random := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, 1<<20)
	for i := range body {
		body[i] = byte(random.IntN(16))
	}
	for _, kind := range []pulsar.CompressionType{pulsar.NoCompression, pulsar.LZ4, pulsar.ZLib, pulsar.ZSTD} {
		producer := f.producer("payloads", func(options *pulsar.ProducerOptions) { options.CompressionType = kind })
		must(producer.Send(context.Background(), &pulsar.ProducerMessage{Payload: body}))
		check(bytes.Equal(receive(consumer).Payload(), body), "compression %v", kind)
	}
	chunked := f.producer("payloads", func(options *pulsar.ProducerOptions) {
		options.DisableBatching = true
		options.EnableChunking = true
	})
	large := bytes.Repeat(body, 12)
	must(chunked.Send(context.Background(), &pulsar.ProducerMessage{Payload: large}))
	message := receive(consumer)
	check(bytes.Equal(message.Payload(), large), "a message of chunks")
	succeeds(consumer.Ack(message))
}

func sharedConsumersShare(f *fixture) {
	small := func(options *pulsar.ConsumerOptions) {
		options.ReceiverQueueSize = 10
		options.NackRedeliveryDelay = 100 * time.Millisecond
	}
	consumers := []pulsar.Consumer{f.consumer("work", pulsar.Shared, small), f.consumer("work", pulsar.Shared, small)}
	// An entry comes again as a whole where its records are not acknowledged one by one.
	sendNumbers(f.producer("work", unbatched), 0, 200)
	seen, refused := map[int]bool{}, map[int]bool{}
	counts := [2]int{}
	for deadline := time.Now().Add(patience); len(seen) < 200; {
		check(time.Now().Before(deadline), "only %d of 200 came", len(seen))
		for i, consumer := range consumers {
			message := receiveSoon(consumer, 50*time.Millisecond)
			if message == nil {
				continue
			}
			n := number(message)
			if n%10 == 0 && !refused[n] {
				refused[n] = true
				consumer.Nack(message)
				continue
			}
			check(!refused[n] || message.RedeliveryCount() > 0, "%d came again with no redelivery counted", n)
			check(!seen[n], "%d came twice", n)
			seen[n] = true
			counts[i]++
			succeeds(consumer.Ack(message))
		}
	}
	check(counts[0] > 0 && counts[1] > 0, "one consumer got all: %v", counts)
}

func failoverGoesToOneAtATime(f *fixture) {
	named := func(name string) func(*pulsar.ConsumerOptions) {
		return func(options *pulsar.ConsumerOptions) { options.Name = name }
	}
	first := f.consumer("turns", pulsar.Failover, named("a"))
	second := f.consumer("turns", pulsar.Failover, named("b"))
	producer := f.producer("turns", unbatched)
	sendNumbers(producer, 0, 50)
	// Which of them it is differs between brokers.
	message := receiveSoon(first, time.Second)
	if message == nil {
		first, second = second, first
		message = receive(first)
	}
	for i := range 50 {
		equal(number(message), i)
		if i < 30 {
			succeeds(first.Ack(message))
		}
		if i < 49 {
			message = receive(first)
		}
	}
	isEmpty(second)
	first.Close()
	// What was not acknowledged goes to the next one, in order.
	for i := 30; i < 50; i++ {
		message := receive(second)
		equal(number(message), i)
		succeeds(second.Ack(message))
	}
	sendNumbers(producer, 50, 60)
	for i := 50; i < 60; i++ {
		equal(number(receive(second)), i)
	}
}

// Pitfall 50: a queue of one, negative acknowledgements, and consumers that come and go.
func keySharedKeepsOrder(f *fixture) {
	open := func() pulsar.Consumer {
		return f.consumer("keys", pulsar.KeyShared, func(options *pulsar.ConsumerOptions) {
			options.ReceiverQueueSize = 1
			options.NackRedeliveryDelay = 50 * time.Millisecond
			options.EnableBatchIndexAcknowledgment = true
		})
	}
	consumers := []pulsar.Consumer{open(), open(), open()}
	producer := f.producer("keys", func(options *pulsar.ProducerOptions) {
		options.BatcherBuilderType = pulsar.KeyBasedBatchBuilder
	})
	sendNumbers(producer, 0, 600, func(i int, message *pulsar.ProducerMessage) { message.Key = fmt.Sprintf("k%d", i%20) })
	last, seen, refused := map[string]int{}, map[int]bool{}, map[int]bool{}
	rounds := 0
	for deadline := time.Now().Add(patience); len(seen) < 600; rounds++ {
		check(time.Now().Before(deadline), "only %d of 600 came", len(seen))
		for _, consumer := range consumers {
			message := receiveSoon(consumer, 20*time.Millisecond)
			if message == nil {
				continue
			}
			n, key := number(message), message.Key()
			if n%50 == 7 && !refused[n] {
				refused[n] = true
				consumer.Nack(message)
				continue
			}
			// What was refused comes late, and what came before an acknowledgement was lost may come again.
			if !refused[n] && !seen[n] {
				check(n > last[key] || n < 20, "%s: %d after %d", key, n, last[key])
				last[key] = n
			}
			seen[n] = true
			succeeds(consumer.Ack(message))
		}
		if rounds == 40 {
			consumers[0].Close()
			consumers = append(consumers[1:], open())
		}
	}
	// A consumer that went took acknowledgements with it; nothing but that is left.
	for _, consumer := range consumers {
		for message := receiveSoon(consumer, quiet); message != nil; message = receiveSoon(consumer, quiet) {
			check(seen[number(message)], "%d came first after the end", number(message))
			succeeds(consumer.Ack(message))
		}
	}
}

func keySharedRanges(f *fixture) {
	ranged := func(ranges ...int) func(*pulsar.ConsumerOptions) {
		policy := must(pulsar.NewKeySharedPolicySticky(ranges))
		return func(options *pulsar.ConsumerOptions) { options.KeySharedPolicy = policy }
	}
	low := f.consumer("ranges", pulsar.KeyShared, ranged(0, 20_000))
	high := f.consumer("ranges", pulsar.KeyShared, ranged(20_001, 65_535))
	_, err := f.client.Subscribe(pulsar.ConsumerOptions{
		Topic: "ranges", SubscriptionName: "s", Type: pulsar.KeyShared,
		KeySharedPolicy: must(pulsar.NewKeySharedPolicySticky([]int{5, 10})),
	})
	check(err != nil, "ranges that overlap were taken")
	// Places of these keys as Pulsar's own classes compute them (facts: pulsar.md 10): 293 and 48803.
	producer := f.producer("ranges")
	for _, key := range []string{"key1", "NONE_KEY"} {
		must(producer.Send(context.Background(), &pulsar.ProducerMessage{Key: key, Payload: []byte(key)}))
	}
	equal(receive(low).Key(), "key1")
	equal(receive(high).Key(), "NONE_KEY")
	isEmpty(low)
	isEmpty(high)
}

func acknowledges(f *fixture) {
	byIndex := func(options *pulsar.ConsumerOptions) {
		options.EnableBatchIndexAcknowledgment = true
		options.AckWithResponse = true
	}
	consumer := f.consumer("acks", pulsar.Shared, byIndex)
	producer := f.producer("acks", func(options *pulsar.ProducerOptions) {
		options.BatchingMaxPublishDelay = time.Second
	})
	sendNumbers(producer, 0, 10)
	for i := range 10 {
		message := receive(consumer)
		equal(number(message), i)
		if i%2 == 0 {
			succeeds(consumer.Ack(message))
		}
	}
	consumer.Close()
	consumer = f.consumer("acks", pulsar.Shared, byIndex)
	for i := 1; i < 10; i += 2 {
		message := receive(consumer)
		equal(number(message), i)
		succeeds(consumer.AckID(message.ID()))
	}
	isEmpty(consumer)
	consumer.Close()

	ordered := f.consumer("acks", pulsar.Exclusive, byIndex, func(options *pulsar.ConsumerOptions) { options.SubscriptionName = "o" })
	var fourth pulsar.Message
	for i := range 10 {
		if message := receive(ordered); i == 4 {
			fourth = message
		}
	}
	succeeds(ordered.AckCumulative(fourth))
	ordered.Close()
	ordered = f.consumer("acks", pulsar.Exclusive, byIndex, func(options *pulsar.ConsumerOptions) { options.SubscriptionName = "o" })
	var ids []pulsar.MessageID
	for i := 5; i < 10; i++ {
		message := receive(ordered)
		equal(number(message), i)
		ids = append(ids, message.ID())
	}
	succeeds(ordered.AckIDList(ids))
	equal(len(slices.Compact(ids)), 5)
	succeeds(ordered.Unsubscribe())
	ordered = f.consumer("acks", pulsar.Exclusive, func(options *pulsar.ConsumerOptions) { options.SubscriptionName = "o" })
	equal(number(receive(ordered)), 0) // a new subscription of that name
}

func deadLetters(f *fixture) {
	policy := &pulsar.DLQPolicy{MaxDeliveries: 3, DeadLetterTopic: "bad-dead", InitialSubscriptionName: "kept"}
	consumer := f.consumer("bad", pulsar.Shared, func(options *pulsar.ConsumerOptions) {
		options.NackRedeliveryDelay = 50 * time.Millisecond
		options.DLQ = policy
	})
	producer := f.producer("bad")
	send(producer, "good")
	send(producer, "poison")
	deliveries := 0
	for deliveries < 3 {
		message := receive(consumer)
		if string(message.Payload()) == "good" {
			succeeds(consumer.Ack(message))
			continue
		}
		deliveries++
		consumer.Nack(message)
	}
	dead := f.consumer("bad-dead", pulsar.Shared, func(options *pulsar.ConsumerOptions) { options.SubscriptionName = "kept" })
	letter := receive(dead)
	equal(string(letter.Payload()), "poison")
	check(strings.HasSuffix(letter.Properties()["REAL_TOPIC"], "/bad"), "properties of the dead letter: %v", letter.Properties())
	isEmpty(consumer)
}

func retryLetters(f *fixture) {
	consumer := f.consumer("again", pulsar.Shared, func(options *pulsar.ConsumerOptions) {
		options.RetryEnable = true
		options.DLQ = &pulsar.DLQPolicy{MaxDeliveries: 5}
	})
	send(f.producer("again"), "later")
	message := receive(consumer)
	begin := time.Now()
	consumer.ReconsumeLater(message, time.Second)
	message = receive(consumer)
	equal(string(message.Payload()), "later")
	check(time.Since(begin) > 800*time.Millisecond, "it came back after %v", time.Since(begin))
	equal(message.Properties()["RECONSUMETIMES"], "1")
	succeeds(consumer.Ack(message))
	isEmpty(consumer)
}

func zeroQueue(f *fixture) {
	zero := func(options *pulsar.ConsumerOptions) { options.EnableZeroQueueConsumer = true }
	consumer := f.consumer("zero", pulsar.Shared, zero)
	other := f.consumer("zero", pulsar.Shared)
	producer := f.producer("zero", unbatched)
	sendNumbers(producer, 0, 20)
	// Nothing goes to a consumer that has not asked.
	for range 20 {
		succeeds(other.Ack(receive(other)))
	}
	other.Close()
	sendNumbers(producer, 20, 22)
	equal(number(receive(consumer)), 20)
	f.admin("PUT", "zero/unload", "")
	for {
		message := receive(consumer)
		if number(message) == 21 {
			break
		}
	}
}

func unload(f *fixture) {
	consumer := f.consumer("moved", pulsar.Shared)
	producer := f.producer("moved")
	seen := map[int]bool{}
	take := func() {
		message := receive(consumer)
		seen[number(message)] = true
		succeeds(consumer.Ack(message))
	}
	for i := range 300 {
		send(producer, strconv.Itoa(i))
		if i%100 == 50 {
			f.admin("PUT", "moved/unload", "")
		}
		take()
	}
	for len(seen) < 300 {
		take()
	}
}
