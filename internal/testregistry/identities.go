package testregistry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// role is what a web identity may become.
type role struct{ token, accessKey string }

// Trust has the API know another access key. Any secret goes with it.
func (a *Amazon) Trust(accessKey string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions[accessKey] = ""
}

// WebIdentity lets whoever shows this token become the role of this name, as the
// pods of Kubernetes do. The access key is that of the role.
func (a *Amazon) WebIdentity(name, token string) (accessKey string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	accessKey = "ASIATAREWEBIDENTITY"
	a.roles[name] = role{token, accessKey}
	return accessKey
}

// Signers lists the access keys with which tokens for registries were asked for.
func (a *Amazon) Signers() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.signers)
}

// knows says whether a request is of somebody. Whose key came with a session has
// to show that too.
func (a *Amazon) knows(accessKey, session string) bool {
	want, ok := a.sessions[accessKey]
	return ok && (want == "" || session == want)
}

// assume is what AWS STS does for a web identity.
func (a *Amazon) assume(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "text/xml")
	r, ok := a.roles[req.PostFormValue("RoleArn")]
	if !ok || req.PostFormValue("Action") != "AssumeRoleWithWebIdentity" || req.PostFormValue("WebIdentityToken") != r.token {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>`+
			`<Code>InvalidIdentityToken</Code><Message>The token is not known.</Message></Error></ErrorResponse>`)
		return
	}
	session := "session-of-a-web-identity"
	a.sessions[r.accessKey] = session
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult>
<AssumedRoleUser><Arn>arn:aws:sts::000000000000:assumed-role/x/y</Arn><AssumedRoleId>AROA:y</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>`, r.accessKey, SecretKey, session, end())
}

// end is when what is given to a role ends.
func end() string { return time.Now().Add(time.Hour).UTC().Format(time.RFC3339) }

// Machine serves until the test ends what a machine of EC2 asks to know its role.
// It speaks version 2 of that alone. The URL is for
// AWS_EC2_METADATA_SERVICE_ENDPOINT, the access key that of the role.
func (a *Amazon) Machine(t testing.TB) (url, accessKey string) {
	t.Helper()
	const metadata, session = "metadata-token", "session-of-a-machine"
	accessKey = "ASIATAREMACHINE"
	a.mu.Lock()
	a.sessions[accessKey] = session
	a.mu.Unlock()
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /latest/api/token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		fmt.Fprint(w, metadata)
	})
	get := func(path, format string, args ...any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("X-Aws-Ec2-Metadata-Token") != metadata {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			fmt.Fprintf(w, format, args...)
		})
	}
	const credentials = "/latest/meta-data/iam/security-credentials/"
	get(credentials+"{$}", "machine-role")
	get(credentials+"machine-role", `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`,
		accessKey, SecretKey, session, end())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, accessKey
}
