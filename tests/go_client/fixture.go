package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/log"
)

// How long anything may take that should come; how long what should not come is waited for.
const (
	patience = 20 * time.Second
	quiet    = 400 * time.Millisecond
)

// What check and must panic with, and runCase turns into the case's result.
type failure string

func (f failure) Error() string { return string(f) }

// Says where in the case it was: the first caller outside of this file.
func failf(format string, args ...any) {
	at := ""
	for depth := 1; at == "" || strings.HasPrefix(at, "fixture.go:"); depth++ {
		_, file, line, _ := runtime.Caller(depth)
		at = fmt.Sprintf("%s:%d", filepath.Base(file), line)
	}
	panic(failure(at + ": " + fmt.Sprintf(format, args...)))
}

func check(holds bool, format string, args ...any) {
	if !holds {
		failf(format, args...)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		failf("%v", err)
	}
	return value
}

func succeeds(err error) {
	if err != nil {
		failf("%v", err)
	}
}

func equal[T comparable](got, expected T) {
	if got != expected {
		failf("got %v, expected %v", got, expected)
	}
}

// One client of its own and the admin API.
type fixture struct {
	client   pulsar.Client
	url      string
	adminURL string
}

func options(url string) pulsar.ClientOptions {
	silent := log.NewLoggerWithSlog(slog.New(slog.NewTextHandler(io.Discard, nil)))
	return pulsar.ClientOptions{URL: url, OperationTimeout: patience, Logger: silent}
}

func newFixture(url, adminURL string) *fixture {
	client, err := pulsar.NewClient(options(url))
	if err != nil {
		panic(err)
	}
	return &fixture{client: client, url: url, adminURL: adminURL}
}

func (f *fixture) close() { f.client.Close() }

func (f *fixture) admin(method, path, body string) {
	address := f.adminURL + "/admin/v2/persistent/public/default/" + path
	request := must(http.NewRequest(method, address, strings.NewReader(body)))
	request.Header.Set("Content-Type", "application/json")
	answer := must(http.DefaultClient.Do(request))
	defer answer.Body.Close()
	text := must(io.ReadAll(answer.Body))
	check(answer.StatusCode < 300, "%s %s: %s %s", method, path, answer.Status, text)
}

func (f *fixture) producer(topic string, change ...func(*pulsar.ProducerOptions)) pulsar.Producer {
	options := pulsar.ProducerOptions{Topic: topic}
	for _, each := range change {
		each(&options)
	}
	return must(f.client.CreateProducer(options))
}

func unbatched(options *pulsar.ProducerOptions) { options.DisableBatching = true }

func (f *fixture) consumer(topic string, kind pulsar.SubscriptionType, change ...func(*pulsar.ConsumerOptions)) pulsar.Consumer {
	options := pulsar.ConsumerOptions{
		Topic:                       topic,
		SubscriptionName:            "s",
		Type:                        kind,
		SubscriptionInitialPosition: pulsar.SubscriptionPositionEarliest,
	}
	for _, each := range change {
		each(&options)
	}
	return must(f.client.Subscribe(options))
}

func send(producer pulsar.Producer, text string) pulsar.MessageID {
	return must(producer.Send(context.Background(), &pulsar.ProducerMessage{Payload: []byte(text)}))
}

// Sends the numbers from first to last-1 and waits for their receipts.
func sendNumbers(producer pulsar.Producer, first, last int, change ...func(int, *pulsar.ProducerMessage)) {
	failures := make(chan error, last-first)
	for i := first; i < last; i++ {
		message := &pulsar.ProducerMessage{Payload: []byte(strconv.Itoa(i))}
		for _, each := range change {
			each(i, message)
		}
		producer.SendAsync(context.Background(), message, func(_ pulsar.MessageID, _ *pulsar.ProducerMessage, err error) {
			failures <- err
		})
	}
	succeeds(producer.Flush())
	for i := first; i < last; i++ {
		succeeds(<-failures)
	}
}

func receive(consumer pulsar.Consumer) pulsar.Message {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return must(consumer.Receive(ctx))
}

// The next message, or nil once it has been quiet for a while.
func receiveSoon(consumer pulsar.Consumer, wait time.Duration) pulsar.Message {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	message, err := consumer.Receive(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return must(message, err)
}

func isEmpty(consumer pulsar.Consumer) {
	if message := receiveSoon(consumer, quiet); message != nil {
		failf("nothing was expected, %q came", message.Payload())
	}
}

func number(message pulsar.Message) int { return must(strconv.Atoi(string(message.Payload()))) }
