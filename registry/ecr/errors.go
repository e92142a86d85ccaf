package ecr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tareml/tare/registry"
)

// problem is what went wrong between AWS and us, in words for people. The errors
// of AWS's library are not shown as they are: some quote the headers of a
// request, and those have secrets in them.
type problem struct {
	text  string
	cause error // or nil
	hint  string
}

func (p *problem) Error() string { return p.text }
func (p *problem) Unwrap() error { return p.cause }

// Hint says what to do next, empty if nothing comes to mind.
func (p *problem) Hint() string { return p.hint }

const credentialsHint = "no AWS credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, " +
	"or run where a role is attached (IRSA, instance profile)"

// noCredentials says that nothing tells who we are.
func noCredentials() error {
	return &problem{
		text:  "Amazon ECR wants AWS credentials, and neither the environment nor a profile nor a role has any",
		cause: registry.ErrDenied,
		hint:  credentialsHint,
	}
}

// alsoEnded is err where there was a token, but an old one.
func alsoEnded(err error) error {
	var h interface{ Hint() string }
	hint := ""
	if errors.As(err, &h) {
		hint = h.Hint()
	}
	return &problem{text: "the token that was saved for it has ended; for a new one: " + err.Error(), cause: err, hint: hint}
}

// misconfigured is an error in the files or the environment of AWS.
func misconfigured(err error) error {
	if absent, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		return &problem{
			text:  fmt.Sprintf("the AWS profile %q is not in ~/.aws/config, nor in ~/.aws/credentials", absent.Profile),
			cause: registry.ErrDenied,
			hint:  "check AWS_PROFILE, AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE",
		}
	}
	return &problem{
		text:  "the configuration of AWS cannot be used" + where(err),
		cause: registry.ErrDenied,
		hint:  "aws sts get-caller-identity says more",
	}
}

// where names the file that an error is about.
func where(err error) string {
	if load, ok := errors.AsType[config.SharedConfigLoadError](err); ok {
		return ": " + load.Filename
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return ": " + path.Error()
	}
	return ""
}

// unidentified is an error with which credentials were looked for, in c.
func unidentified(c aws.Config, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[*ssocreds.InvalidTokenError](err); ok {
		return &problem{text: "the AWS single sign-on has ended", cause: registry.ErrDenied, hint: "aws sso login"}
	}
	if _, ok := errors.AsType[*processcreds.ProviderError](err); ok {
		return &problem{
			text:  "the credential_process of the AWS profile gives no credentials",
			cause: registry.ErrDenied,
			hint:  "aws sts get-caller-identity says more",
		}
	}
	if _, ok := errors.AsType[smithy.APIError](err); ok && !machine(c) {
		return refused("looking for AWS credentials", err)
	}
	if machine(c) {
		return noCredentials()
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return unreachable("looking for AWS credentials", err)
	}
	return &problem{
		text:  "the AWS credentials that are configured (a role, a web identity, a container) cannot be had" + where(err),
		cause: registry.ErrDenied,
		hint:  "aws sts get-caller-identity says more",
	}
}

// refused is an error of an API of AWS.
func refused(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	answer, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return unreachable(doing, err)
	}
	code := answer.ErrorCode()
	switch code {
	case "AccessDeniedException", "AccessDenied":
		return &problem{text: doing + ": " + answer.ErrorMessage(), cause: registry.ErrDenied, hint: permissionHint(answer.ErrorMessage())}
	case "UnrecognizedClientException", "InvalidClientTokenId":
		return &problem{text: doing + ": AWS does not know the access key", cause: registry.ErrDenied, hint: "check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN, or AWS_PROFILE"}
	case "InvalidSignatureException", "SignatureDoesNotMatch":
		return &problem{text: doing + ": the secret key does not belong to the access key", cause: registry.ErrDenied, hint: "check AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and the clock"}
	case "ExpiredTokenException", "ExpiredToken":
		return &problem{text: doing + ": the AWS credentials have ended", cause: registry.ErrDenied, hint: "renew them: aws sso login, or new AWS_… variables"}
	}
	switch {
	case throttled(code):
		return &problem{text: doing + ": " + code, cause: registry.ErrUnavailable, hint: "AWS gets too many requests of this account: try again in a minute"}
	case answer.ErrorFault() == smithy.FaultServer || statusOf(err) >= http.StatusInternalServerError:
		return &problem{text: fmt.Sprintf("%s: status %d: %s", doing, statusOf(err), code), cause: registry.ErrUnavailable, hint: laterHint}
	}
	return &problem{text: doing + ": " + code}
}

// laterHint is for troubles of AWS itself.
const laterHint = "try again later; https://health.aws.amazon.com tells how AWS is"

// throttled says whether AWS is asked too often.
func throttled(code string) bool {
	_, ok := retry.DefaultThrottleErrorCodes[code]
	return ok
}

// statusOf is the status of the answer that err is about, or 0.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}

// strange is for an answer of something that may not be AWS at all.
func strange(doing, why string) error {
	return &problem{
		text: doing + ": " + why, cause: registry.ErrUnavailable,
		hint: "is that AWS? check AWS_ENDPOINT_URL, and the proxy if there is one",
	}
}

// unreachable is an error of the network, without the address: that may have a
// query.
func unreachable(doing string, err error) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return &problem{
			text:  fmt.Sprintf("%s: no such host as %s", doing, dns.Name),
			cause: registry.ErrUnreachable,
			hint:  "check the region in the name of the registry, and AWS_ENDPOINT_URL",
		}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return &problem{text: doing + ": no answer", cause: registry.ErrUnreachable, hint: reachHint}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return &problem{text: doing + ": " + op.Error(), cause: registry.ErrUnreachable, hint: reachHint}
	}
	return strange(doing, "the answer cannot be used")
}

const reachHint = "check the way to AWS: a proxy, a VPC endpoint for ecr.api, AWS_ENDPOINT_URL"

var deniedAction = regexp.MustCompile(`not authorized to perform: ([a-z-]+:[A-Za-z]+)`)

// permissionHint names what is not permitted, or is "".
func permissionHint(message string) string {
	if m := deniedAction.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("permit %s, in a policy of whoever this is or in that of the repository", m[1])
	}
	return ""
}
