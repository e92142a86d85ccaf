package generate

import (
	"bytes"
	"regexp"
	"strings"
)

// secretNames are the names, in lower case, of files that are secret whatever is
// in them.
const secretNames = ".env .env.* .netrc _netrc .npmrc .yarnrc.yml .pypirc .git-credentials .dockercfg .htpasswd .pgpass .my.cnf " +
	"id_rsa id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk *.ppk *.kdbx *.jks *.keystore *.p12 *.pfx " +
	"credentials credentials.json credentials.y*ml *.credentials client_secret*.json application_default_credentials.json " +
	"kubeconfig kubeconfig.* *.kubeconfig secrets.json secrets.y*ml secrets.toml *.env *_credentials " +
	"id_rsa.bak id_rsa.old id_rsa_* id_ed25519.bak id_ed25519.old id_ed25519_*"

// secretDirs are the names of directories that are for nobody else.
const secretDirs = ".ssh .aws .azure .gcloud .kube .docker .gnupg"

// tokenNames are the names of files that hold a token if they are small.
// tokens.txt is a vocabulary.
const tokenNames = "hf_token hf_token.* hf-token* huggingface_token* hftoken* token token.txt *_token.txt *-token.txt *_token *.token " +
	"*api_key *api_key.txt *api-key.txt *apikey.txt secret.txt *_secret.txt *_secrets.txt password.txt passwords.txt " +
	"access_token* *access_tokens.txt *github_token* *gitlab_token*"

// maxToken is the size that such a file has at most, in bytes.
const maxToken = 4 << 10

// keyNames are the names of files that hold a secret unless their content is
// known to be public: certificates and public keys may be shown to anybody.
const keyNames = "*.pem *.key"

// isSecretFile says whether the name of a file tells that it is secret. The size
// is asked for only if it matters.
func isSecretFile(base string, size func() int64) bool {
	return matchAny(secretNames, base) || matchAny(tokenNames, base) && size() <= maxToken
}

func isSecretDir(base string) bool { return matchAny(secretDirs, base) }

// isKeyName says whether the content tells.
func isKeyName(base string) bool { return matchAny(keyNames, base) }

// isPublic says whether a file with the name of a key is fit for all: nothing but
// certificates and public keys, or no key at all but a presentation.
func isPublic(head []byte) bool {
	if bytes.Contains(head, []byte("PRIVATE")) {
		return false
	}
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.Contains(head, []byte("-----BEGIN CERTIFICATE-----")) ||
		bytes.Contains(head, []byte("PUBLIC KEY-----"))
}

// tokens are what access tokens look like.
const tokens = `(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|sk-[\w-]{20,}|glpat-[\w-]{16,}|AKIA[0-9A-Z]{16})`

var (
	// bareToken is a file that is an access token and nothing else.
	bareToken = regexp.MustCompile(`^` + tokens + `$`)
	someToken = regexp.MustCompile(`\b` + tokens)
)

// hasToken says whether a text has an access token in it.
func hasToken(text string) bool { return someToken.MatchString(text) }

// isSecretText says whether text is secret whatever the name of its file.
func isSecretText(head []byte) bool {
	text := strings.TrimSpace(strings.TrimPrefix(string(head), "\uFEFF"))
	switch {
	case strings.HasPrefix(text, "Bag Attributes"): // as openssl writes them in front of a key
		return strings.Contains(text, "PRIVATE KEY-----")
	case strings.HasPrefix(text, "-----BEGIN "):
		first, _, _ := strings.Cut(text, "\n")
		return strings.Contains(first, "PRIVATE KEY")
	case strings.HasPrefix(text, "{"):
		return strings.Contains(text, `"service_account"`) && strings.Contains(text, `"private_key"`)
	}
	return bareToken.MatchString(text)
}
