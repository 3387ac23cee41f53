package main

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
)

func seeks(f *fixture) {
	consumer := f.consumer("moves", pulsar.Exclusive)
	producer := f.producer("moves", unbatched)
	var ids []pulsar.MessageID
	for i := range 5 {
		ids = append(ids, send(producer, strconv.Itoa(i)))
	}
	time.Sleep(20 * time.Millisecond)
	between := time.Now()
	time.Sleep(20 * time.Millisecond)
	sendNumbers(producer, 5, 10)
	var all pulsar.Message
	for range 10 {
		all = receive(consumer)
	}
	succeeds(consumer.AckCumulative(all))
	for _, step := range []struct {
		seek     func() error
		expected int
	}{
		{func() error { return consumer.SeekByTime(between.Add(-time.Hour)) }, 0},
		{func() error { return consumer.SeekByTime(between) }, 5},
		// The message itself, and what lies before it, is left out by the client.
		{func() error { return consumer.Seek(ids[3]) }, 4},
	} {
		succeeds(step.seek())
		equal(number(receive(consumer)), step.expected)
	}
	succeeds(consumer.Seek(all.ID()))
	isEmpty(consumer)
}

func next(reader pulsar.Reader) pulsar.Message {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return must(reader.Next(ctx))
}

func readers(f *fixture) {
	producer := f.producer("log")
	var ids []pulsar.MessageID
	for i := range 5 {
		ids = append(ids, send(producer, strconv.Itoa(i)))
	}
	open := func(start pulsar.MessageID, inclusive bool) pulsar.Reader {
		return must(f.client.CreateReader(pulsar.ReaderOptions{Topic: "log", StartMessageID: start, StartMessageIDInclusive: inclusive}))
	}
	all := open(pulsar.EarliestMessageID(), false)
	check(all.HasNext(), "there are messages")
	for i := range 5 {
		equal(number(next(all)), i)
	}
	check(!all.HasNext(), "nothing is left")
	equal(number(next(open(ids[2], false))), 3)
	equal(number(next(open(ids[2], true))), 2)
	last := must(all.GetLastMessageID())
	equal(last.EntryID(), ids[4].EntryID())
	newest := open(pulsar.LatestMessageID(), true)
	check(newest.HasNext(), "the newest message is there")
	equal(number(next(newest)), 4)
	after := open(pulsar.LatestMessageID(), false)
	check(!after.HasNext(), "nothing is behind the newest")
	send(producer, "5")
	equal(number(next(after)), 5)
	succeeds(all.Seek(ids[1]))
	equal(number(next(all)), 2) // the client leaves the message itself out
	byTime := open(pulsar.EarliestMessageID(), false)
	equal(number(next(byTime)), 0)
	equal(number(next(byTime)), 1)
	succeeds(byTime.SeekByTime(time.Now().Add(-time.Hour)))
	equal(number(next(byTime)), 0)
	// An id that was written down and read again.
	read := must(pulsar.DeserializeMessageID(ids[3].Serialize()))
	equal(number(next(open(read, true))), 3)
}

func tableView(f *fixture) {
	producer := f.producer("table", func(options *pulsar.ProducerOptions) { options.Schema = pulsar.NewStringSchema(nil) })
	put := func(key, value string) {
		must(producer.Send(context.Background(), &pulsar.ProducerMessage{Key: key, Payload: []byte(value)}))
	}
	put("a", "1")
	put("b", "2")
	put("a", "3")
	view := must(f.client.CreateTableView(pulsar.TableViewOptions{
		Topic: "table", Schema: pulsar.NewStringSchema(nil), SchemaValueType: reflect.TypeFor[*string](),
	}))
	defer view.Close()
	put("c", "4")
	for deadline := time.Now().Add(patience); view.Size() < 3; time.Sleep(10 * time.Millisecond) {
		check(time.Now().Before(deadline), "the view has %v", view.Entries())
	}
	equal(*view.Get("a").(*string), "3")
	equal(*view.Get("c").(*string), "4")
}

func partitions(f *fixture) {
	f.admin("PUT", "parted/partitions", "4")
	names := must(f.client.TopicPartitions("parted"))
	equal(len(names), 4)
	check(strings.HasSuffix(names[3], "parted-partition-3"), "partitions: %v", names)
	consumer := f.consumer("parted", pulsar.Failover)
	producer := f.producer("parted", func(options *pulsar.ProducerOptions) { options.HashingScheme = pulsar.Murmur3_32Hash })
	sendNumbers(producer, 0, 200, func(i int, message *pulsar.ProducerMessage) { message.Key = fmt.Sprintf("k%d", i%20) })
	owners, last, used := map[string]int32{}, map[string]int{}, map[int32]bool{}
	for range 200 {
		message := receive(consumer)
		partition := message.ID().PartitionIdx()
		if owner, known := owners[message.Key()]; known {
			equal(partition, owner)
			check(number(message) > last[message.Key()], "%s out of order", message.Key())
		}
		owners[message.Key()], last[message.Key()], used[partition] = partition, number(message), true
		succeeds(consumer.Ack(message))
	}
	equal(len(used), 4)
	equal(len(must(consumer.GetLastMessageIDs())), 4)
	succeeds(consumer.SeekByTime(time.Now().Add(-time.Hour)))
	for range 200 {
		receive(consumer)
	}
	succeeds(consumer.Unsubscribe())
}

func patterns(f *fixture) {
	for _, name := range []string{"fruit-apple", "fruit-pear", "stone"} {
		send(f.producer(name), name)
	}
	consumer := must(f.client.Subscribe(pulsar.ConsumerOptions{
		TopicsPattern: "persistent://public/default/fruit-.*", SubscriptionName: "s", Type: pulsar.Shared,
		SubscriptionInitialPosition: pulsar.SubscriptionPositionEarliest, AutoDiscoveryPeriod: 300 * time.Millisecond,
	}))
	seen := map[string]bool{}
	for range 2 {
		seen[string(receive(consumer).Payload())] = true
	}
	check(seen["fruit-apple"] && seen["fruit-pear"], "came: %v", seen)
	send(f.producer("fruit-plum"), "fruit-plum")
	equal(string(receive(consumer).Payload()), "fruit-plum")
	isEmpty(consumer)
}

type shop struct {
	Name  string `json:"name" avro:"name"`
	Count int    `json:"count" avro:"count"`
}

const (
	shopFields = `{"name":"name","type":"string"},{"name":"count","type":"int"}`
	shopRecord = `{"type":"record","name":"Shop","namespace":"test","fields":[` + shopFields + `]}`
	// A field with a default may come, one without may not.
	widerRecord  = `{"type":"record","name":"Shop","namespace":"test","fields":[` + shopFields + `,{"name":"town","type":"string","default":""}]}`
	strictRecord = `{"type":"record","name":"Shop","namespace":"test","fields":[` + shopFields + `,{"name":"town","type":"string"}]}`
)

func schemas(f *fixture) {
	ofSchema := func(schema pulsar.Schema) func(*pulsar.ProducerOptions) {
		return func(options *pulsar.ProducerOptions) { options.Schema = schema }
	}
	for topic, schema := range map[string]func(string) pulsar.Schema{
		"shop-json": func(definition string) pulsar.Schema { return pulsar.NewJSONSchema(definition, nil) },
		"shop-avro": func(definition string) pulsar.Schema { return pulsar.NewAvroSchema(definition, nil) },
	} {
		producer := f.producer(topic, ofSchema(schema(shopRecord)))
		consumer := f.consumer(topic, pulsar.Exclusive, func(options *pulsar.ConsumerOptions) { options.Schema = schema(shopRecord) })
		must(producer.Send(context.Background(), &pulsar.ProducerMessage{Value: &shop{"tea", 3}}))
		message, got := receive(consumer), shop{}
		succeeds(message.GetSchemaValue(&got))
		equal(got, shop{"tea", 3})
		equal(string(message.SchemaVersion()), "\x00\x00\x00\x00\x00\x00\x00\x00")
		for _, wrong := range []pulsar.Schema{schema(strictRecord), pulsar.NewStringSchema(nil)} {
			_, err := f.client.CreateProducer(pulsar.ProducerOptions{Topic: topic, Schema: wrong})
			check(err != nil && strings.Contains(err.Error(), "IncompatibleSchema"), "%s: %v", topic, err)
		}
		f.producer(topic, ofSchema(schema(widerRecord)))
	}
	numbers := f.producer("shop-int", ofSchema(pulsar.NewInt64Schema(nil)))
	must(numbers.Send(context.Background(), &pulsar.ProducerMessage{Value: int64(-2)}))
	consumer := f.consumer("shop-int", pulsar.Exclusive, func(options *pulsar.ConsumerOptions) { options.Schema = pulsar.NewInt64Schema(nil) })
	var value int64
	succeeds(receive(consumer).GetSchemaValue(&value))
	equal(value, -2)
}

func delayedDelivery(f *fixture) {
	consumer := f.consumer("later", pulsar.Shared)
	producer := f.producer("later")
	begin := time.Now()
	must(producer.Send(context.Background(), &pulsar.ProducerMessage{Payload: []byte("late"), DeliverAfter: 1500 * time.Millisecond}))
	send(producer, "now")
	equal(string(receive(consumer).Payload()), "now")
	equal(string(receive(consumer).Payload()), "late")
	check(time.Since(begin) > 1300*time.Millisecond, "it came after %v", time.Since(begin))
}

func exclusiveProducers(f *fixture) {
	mode := func(mode pulsar.ProducerAccessMode) func(*pulsar.ProducerOptions) {
		return func(options *pulsar.ProducerOptions) { options.ProducerAccessMode = mode }
	}
	first := f.producer("mine", mode(pulsar.ProducerAccessModeExclusive))
	for _, other := range []pulsar.ProducerAccessMode{pulsar.ProducerAccessModeShared, pulsar.ProducerAccessModeExclusive} {
		_, err := f.client.CreateProducer(pulsar.ProducerOptions{Topic: "mine", ProducerAccessMode: other})
		check(err != nil, "a second producer was taken")
	}
	var waiting sync.WaitGroup
	waiting.Add(1)
	var second pulsar.Producer
	var err error
	go func() {
		defer waiting.Done()
		second, err = f.client.CreateProducer(pulsar.ProducerOptions{Topic: "mine", ProducerAccessMode: pulsar.ProducerAccessModeWaitForExclusive})
	}()
	time.Sleep(200 * time.Millisecond)
	send(first, "a")
	first.Close()
	waiting.Wait()
	succeeds(err)
	send(second, "b")
	consumer := f.consumer("mine", pulsar.Exclusive)
	equal(string(receive(consumer).Payload()), "a")
	equal(string(receive(consumer).Payload()), "b")
}

func transactionsAreRefused(f *fixture) {
	with := options(f.url)
	with.EnableTransaction = true
	with.OperationTimeout = 2 * time.Second
	client, err := pulsar.NewClient(with)
	if err == nil {
		defer client.Close()
		_, err = client.NewTransaction(time.Minute)
	}
	check(err != nil, "a transaction was begun")
}
