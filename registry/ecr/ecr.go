// Package ecr finds credentials for Amazon ECR where programs for AWS find
// theirs, so that nobody has to log in there:
//
//	store := ecr.New(ecr.Options{}, registry.DockerCredentials())
//	client, err := registry.NewClient(registry.Options{Credentials: store})
//
// What the next store knows comes first, unless it is a token of ECR that has
// ended. Else a token is asked of AWS in the name of whom the environment, the
// profile, the web identity (IRSA), the container or the machine stands for, in
// the order of AWS's own programs. Tokens stay in memory and last twelve hours.
// Other registries cost nothing: AWS is not configured before it is needed.
//
// Images of public.ecr.aws are for everybody, so those who have no credentials
// pull without.
//
// Of Amazon's own helper this takes what it knows about the names of registries.
// It does without its client, which cannot be interrupted and keeps tokens in a
// file.
package ecr

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/awslabs/amazon-ecr-credential-helper/ecr-login/api"

	"github.com/tareml/tare/registry"
)

// renewAhead is how long before its end a token is given out no more. It is more
// than what clients of a registry leave themselves.
const renewAhead = time.Hour

// Options says how AWS is reached. The zero value is how its own programs do.
type Options struct {
	// Transport sets up connections to AWS, unless it is nil.
	Transport func(*http.Transport) error

	// UserAgent names the program in each request.
	UserAgent string

	// Debug is told of each request to AWS and what came of it, unless it is nil.
	// The response is nil if there was none, and its body is not to be touched.
	Debug func(operation string, req *http.Request, resp *http.Response, err error, took time.Duration)

	attempt time.Duration // attemptTimeout, unless a test has less time
}

// Store finds credentials for registries of Amazon ECR. It may be used from many
// goroutines.
type Store struct {
	registry.CredentialStore // the next, for all other registries
	options                  Options
	now                      func() time.Time

	mu     sync.Mutex // held while a token is on its way
	tokens map[string]token
}

// token is what AWS gave for a registry.
type token struct {
	cred registry.Credential
	end  time.Time
}

// New returns a store that asks next first, and AWS where next knows nothing.
func New(o Options, next registry.CredentialStore) *Store {
	return &Store{CredentialStore: next, options: o, now: time.Now, tokens: map[string]token{}}
}

// Handles says whether this is the name of a registry of Amazon ECR.
func Handles(name string) bool {
	_, ok := parse(name)
	return ok
}

// home is where a registry of ECR is.
type home struct {
	account string // empty if it is public
	region  string
	fips    bool
	public  bool
}

// publicRegion is the one that has the API of the public registry.
const publicRegion = "us-east-1"

func parse(name string) (home, bool) {
	r, err := api.ExtractRegistry(name)
	switch {
	case err != nil:
		return home{}, false
	case r.Service == api.ServiceECRPublic:
		return home{region: publicRegion, public: true}, true
	}
	return home{account: r.ID, region: r.Region, fips: r.FIPS}, true
}

// Get implements [registry.CredentialStore].
func (s *Store) Get(ctx context.Context, server string) (registry.Credential, error) {
	cred, err := s.CredentialStore.Get(ctx, server)
	h, ours := parse(server)
	if !ours || err != nil && !errors.Is(err, exec.ErrNotFound) { // a helper that is not here is not needed
		return cred, err
	}
	ended := s.ended(cred)
	if cred != (registry.Credential{}) && !ended {
		return cred, nil
	}
	why := registry.LookupOf(ctx)
	cred, err = s.token(ctx, server, h, why)
	switch {
	case err == nil:
		return cred, nil
	case h.public && !why.Push && ctx.Err() == nil:
		return registry.Credential{}, nil
	case ended:
		return registry.Credential{}, alsoEnded(err)
	}
	return registry.Credential{}, err
}

// ended says whether the password is a token that is over.
func (s *Store) ended(cred registry.Credential) bool {
	end, ok := registry.PasswordEnd(cred.Password)
	return ok && !s.now().Before(end)
}

// token returns the one that is known, or a new one.
func (s *Store) token(ctx context.Context, server string, h home, why registry.Lookup) (registry.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tokens[server]
	if ok && !why.Refused && s.now().Before(t.end.Add(-renewAhead)) {
		return t.cred, nil
	}
	t, err := s.fetch(ctx, h, why)
	if err != nil {
		return registry.Credential{}, err
	}
	s.tokens[server] = t
	return t.cred, nil
}

// fetch asks AWS for a token. To pull what is public a machine is not asked who
// it is: that takes its time where there is nobody to answer.
func (s *Store) fetch(ctx context.Context, h home, why registry.Lookup) (token, error) {
	config, err := s.options.config(ctx, h, !h.public || why.Push)
	if err != nil {
		return token{}, err
	}
	within, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	text, end, err := authorization(within, config, h)
	if err != nil {
		return token{}, refused("asking AWS for a token", err)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	user, password, ok := strings.Cut(string(data), ":")
	if err != nil || !ok {
		return token{}, strange("asking AWS for a token", "there is none in its answer")
	}
	return token{registry.Credential{Username: user, Password: password}, end}, nil
}

// authorization is user:password in base64, and when that ends.
func authorization(ctx context.Context, config aws.Config, h home) (text string, end time.Time, err error) {
	if h.public {
		answer, err := ecrpublic.NewFromConfig(config).GetAuthorizationToken(ctx, &ecrpublic.GetAuthorizationTokenInput{})
		if err != nil || answer.AuthorizationData == nil {
			return "", time.Time{}, err
		}
		return aws.ToString(answer.AuthorizationData.AuthorizationToken), aws.ToTime(answer.AuthorizationData.ExpiresAt), nil
	}
	answer, err := ecr.NewFromConfig(config).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil || len(answer.AuthorizationData) == 0 {
		return "", time.Time{}, err
	}
	return aws.ToString(answer.AuthorizationData[0].AuthorizationToken), aws.ToTime(answer.AuthorizationData[0].ExpiresAt), nil
}
