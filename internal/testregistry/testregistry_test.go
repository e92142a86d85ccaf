package testregistry_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/tareml/tare/internal/testregistry"
)

func get(t *testing.T, host, user, password string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestMemoryAnswers(t *testing.T) {
	if got := get(t, testregistry.Memory(t).Host, "", ""); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
}

func TestMemoryWrapsOutermostLast(t *testing.T) {
	status := func(code int) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		}
	}
	if got := get(t, testregistry.Memory(t, status(500), status(418)).Host, "", ""); got != 418 {
		t.Errorf("status %d, want that of the last wrap", got)
	}
}

func TestDebianAnswers(t *testing.T) {
	if got := get(t, testregistry.Debian(t).Host, "", ""); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
}

func TestDebianWithAuth(t *testing.T) {
	host := testregistry.Debian(t, testregistry.WithAuth()).Host
	for _, test := range []struct {
		name, user, password string
		want                 int
	}{
		{"nobody", "", "", http.StatusUnauthorized},
		{"wrong password", testregistry.Username, "wrong", http.StatusUnauthorized},
		{"the user", testregistry.Username, testregistry.Password, http.StatusOK},
	} {
		if got := get(t, host, test.user, test.password); got != test.want {
			t.Errorf("%s: status %d, want %d", test.name, got, test.want)
		}
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
