package memstore_test

import (
	"testing"

	"github.com/tareml/tare/internal/memstore"
	"github.com/tareml/tare/internal/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) *memstore.Store { return memstore.New() })
}
