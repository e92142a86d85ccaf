package ecr

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	// machineTimeout is how long it may take to find out that a machine stands
	// for nobody. Where it does, the answer takes some milliseconds.
	machineTimeout = 5 * time.Second

	// attempts are made of each request to AWS, and each may take so long.
	attempts       = 3
	attemptTimeout = 5 * time.Second

	// answerTimeout is for all attempts together.
	answerTimeout = 15 * time.Second
)

// config is that of AWS, with credentials in it: anywhere means that the machine
// may be asked for them too.
func (o Options) config(ctx context.Context, h home, anywhere bool) (aws.Config, error) {
	c, err := o.load(ctx, h)
	if err != nil {
		return aws.Config{}, err
	}
	if machine(c) {
		if !anywhere {
			return aws.Config{}, noCredentials()
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, machineTimeout)
		defer cancel()
	}
	found, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return aws.Config{}, unidentified(c, err)
	}
	c.Credentials = credentials.StaticCredentialsProvider{Value: found}
	return c, nil
}

// load reads the environment and the files of AWS.
func (o Options) load(ctx context.Context, h home) (aws.Config, error) {
	var wrong error
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		if o.Transport != nil {
			wrong = o.Transport(t)
		}
	})
	client = client.WithTimeout(cmp.Or(o.attempt, attemptTimeout))
	client.GetTransport() // so that the options are applied
	if wrong != nil {
		return aws.Config{}, wrong
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(h.region),
		config.WithHTTPClient(client),
		config.WithRetryMaxAttempts(attempts),
		config.WithLogger(logging.Nop{}),
	}
	options = append(options, config.WithAPIOptions(o.stack()))
	if h.fips {
		options = append(options, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, misconfigured(err)
	}
	return c, nil
}

// stack is what is done with each request of each service of AWS.
func (o Options) stack() (steps []func(*middleware.Stack) error) {
	if o.UserAgent != "" {
		steps = append(steps, smithyhttp.SetHeaderValue("User-Agent", o.UserAgent))
	}
	if o.Debug != nil {
		steps = append(steps, func(s *middleware.Stack) error {
			return s.Deserialize.Add(debugger{o, s.ID()}, middleware.After)
		})
	}
	return steps
}

// debugger tells of each attempt: it is next to the network.
type debugger struct {
	Options
	operation string
}

// ID implements [middleware.DeserializeMiddleware].
func (debugger) ID() string { return "TareDebug" }

// HandleDeserialize implements [middleware.DeserializeMiddleware].
func (d debugger) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	start := time.Now()
	out, metadata, err := next.HandleDeserialize(ctx, in)
	if req, ok := in.Request.(*smithyhttp.Request); ok {
		var answer *http.Response
		if resp, ok := out.RawResponse.(*smithyhttp.Response); ok && err == nil {
			answer = resp.Response
		}
		d.Debug(d.operation, req.Request.WithContext(ctx), answer, err, time.Since(start))
	}
	return out, metadata, err
}

// machine says whether the machine would be asked who it is.
func machine(c aws.Config) bool {
	return aws.IsCredentialsProvider(c.Credentials, (*ec2rolecreds.Provider)(nil))
}
