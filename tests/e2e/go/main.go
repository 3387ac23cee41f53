// A Go program that is started as Pulsar's Go instances are: it reads the configuration that the real one reads, takes
// its streams by the Go client, and tells its counters on every interface. For stock_test.py, where the module of the
// real one can't be had.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/apache/pulsar-client-go/pulsar"
)

type configuration struct {
	ServiceURL       string            `json:"pulsarServiceURL"`
	InstanceID       int               `json:"instanceID"`
	MetricsPort      int               `json:"metricsPort"`
	Tenant           string            `json:"tenant"`
	Namespace        string            `json:"nameSpace"`
	Name             string            `json:"name"`
	SubscriptionName string            `json:"subscriptionName"`
	SubscriptionType int               `json:"subscriptionType"`
	FirstTopic       string            `json:"sourceSpecsTopic"`
	OtherTopics      map[string]string `json:"sourceInputSpecs"`
	SinkTopic        string            `json:"sinkSpecsTopic"`
	UserConfig       string            `json:"userConfig"`
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	text := flag.String("instance-conf", "", "configuration as JSON")
	flag.Parse()
	var conf configuration
	must(json.Unmarshal([]byte(*text), &conf))
	user := map[string]string{}
	must(json.Unmarshal([]byte(conf.UserConfig), &user))

	var received, processed atomic.Int64
	go func() {
		must(http.ListenAndServe(fmt.Sprintf(":%d", conf.MetricsPort), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "pulsar_function_received_total{name=%q} %d\npulsar_function_processed_successfully_total{name=%q} %d\n",
				conf.Name, received.Load(), conf.Name, processed.Load())
		})))
	}()

	client, err := pulsar.NewClient(pulsar.ClientOptions{URL: conf.ServiceURL})
	must(err)
	subscription := conf.SubscriptionName
	if subscription == "" {
		subscription = conf.Tenant + "/" + conf.Namespace + "/" + conf.Name
	}
	topics := []string{conf.FirstTopic}
	for topic := range conf.OtherTopics {
		topics = append(topics, topic)
	}
	kind := pulsar.Shared
	if conf.SubscriptionType == 1 {
		kind = pulsar.Failover
	}
	consumer, err := client.Subscribe(pulsar.ConsumerOptions{Topics: topics, SubscriptionName: subscription, Type: kind})
	must(err)
	producer, err := client.CreateProducer(pulsar.ProducerOptions{Topic: conf.SinkTopic})
	must(err)

	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	for {
		message, err := consumer.Receive(ending)
		if err != nil {
			break
		}
		received.Add(1)
		out := strings.ToUpper(string(message.Payload())) + user["end"]
		producer.SendAsync(context.Background(), &pulsar.ProducerMessage{Payload: []byte(out)},
			func(_ pulsar.MessageID, _ *pulsar.ProducerMessage, err error) {
				must(err)
				must(consumer.Ack(message))
				processed.Add(1)
			})
	}
	must(producer.Flush())
	consumer.Close()
	producer.Close()
	client.Close()
	os.Exit(0)
}
