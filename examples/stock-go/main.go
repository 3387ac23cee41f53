// A function in Go as it is written for Pulsar: spells the items of orders in capitals.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/pulsar/pulsar-function-go/pf"
)

func spell(ctx context.Context, order []byte) ([]byte, error) {
	parts := strings.Split(string(order), ";")
	if len(parts) < 2 {
		return nil, fmt.Errorf("expected id;item, found %q", order)
	}
	parts[1] = strings.ToUpper(parts[1])
	return []byte(strings.Join(parts, ";")), nil
}

func main() {
	pf.Start(spell)
}
