// virtual-sigstore signs an image digest as a Sigstore would that nobody else has: with a certificate
// authority, a certificate log, a signature log (Rekor) and a timestamp authority that live for one
// run. Into the folder -out go the trusted root and, one file each, what that Sigstore signed well and
// what it signed badly, for cosign and for us to judge:
//
//	trusted_root.json          what to trust for all of these but the rekor2 pair:
//	bundle.json                logged by Rekor 1, its promise and its proof: what a verifier must accept
//	timestamped.json           the same with a timestamp of the timestamp authority
//	attestation.json           as bundle.json, but a statement of another type
//	unpromised.json            logged, with proof, but without promise or timestamp: no time is proven
//	unlogged.json              a timestamp, but not logged
//	untimed.json               neither logged nor timestamped
//	late.json                  logged after its certificate had expired
//	uncertified.json           its certificate is in no certificate log
//	layer.json                 cosign's first form: {"payload", "annotations"} of a layer below .sig
//	envelope.json              the same below .att, of the type of attestation.json
//	rekor2.json                logged by Rekor 2, with a timestamp
//	rekor2_trusted_root.json   what to trust for it; no certificate log
//
// With -log it signs nothing and serves its signature log, which takes what others sign: log.go. With
// -subject and -issuer it gives them keys and certificates for that: signer.key and signer.pem, and those of
// another@example.com, another.key and another.pem.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	statementType = "application/vnd.in-toto+json"
	// What `cosign sign` states, and another statement.
	signature   = "https://sigstore.dev/cosign/sign/v1"
	attestation = "https://slsa.dev/provenance/v1"
)

func main() {
	digest := flag.String("digest", "", "what is signed, sha256:HEX")
	subject := flag.String("subject", "", "who signs: a mail address or a URL")
	issuer := flag.String("issuer", "", "who says so: a URL")
	out := flag.String("out", ".", "the folder to write to")
	isLog := flag.Bool("log", false, "sign nothing, and serve the signature log (Rekor 1) on 127.0.0.1")
	flag.Parse()
	do := func() error { return run(*digest, *subject, *issuer, *out) }
	if *isLog {
		do = func() error { return serve(*subject, *issuer, *out) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// What signs.
type sigstore struct {
	*ca.VirtualSigstore
	authority *authority
	subject   string
	issuer    string
}

func run(digest, subject, issuer, out string) error {
	if !strings.HasPrefix(digest, "sha256:") || subject == "" || issuer == "" {
		return fmt.Errorf("-digest sha256:HEX, -subject and -issuer are needed")
	}
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		return err
	}
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	s := &sigstore{virtual, authority, subject, issuer}
	files := map[string]any{}

	signed := statement(digest, signature)
	logged := proof{promise: true, inclusion: true}
	cases := map[string]struct {
		statement []byte
		proof     proof
	}{
		"bundle.json":      {signed, logged},
		"timestamped.json": {signed, proof{promise: true, inclusion: true, timestamp: true}},
		"attestation.json": {statement(digest, attestation), logged},
		"unpromised.json":  {signed, proof{inclusion: true}},
		"unlogged.json":    {signed, proof{timestamp: true}},
		"untimed.json":     {signed, proof{}},
		"late.json":        {signed, proof{promise: true, inclusion: true, expired: true}},
		"uncertified.json": {signed, proof{promise: true, inclusion: true, uncertified: true}},
	}
	for name, it := range cases {
		bundle, err := s.bundle(it.statement, it.proof)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files[name] = bundle
	}
	if files["layer.json"], err = s.layer(digest); err != nil {
		return err
	}
	if files["envelope.json"], err = s.envelope(statement(digest, attestation)); err != nil {
		return err
	}
	if files["rekor2.json"], err = s.rekor2(signed); err != nil {
		return err
	}
	authorities := []root.CertificateAuthority{authority.trusted()}
	if files["trusted_root.json"], err = s.trustedRoot(authorities, authority.logs()); err != nil {
		return err
	}
	files["rekor2_trusted_root.json"], err =
		s.trustedRoot(s.FulcioCertificateAuthorities(), map[string]*root.TransparencyLog{})
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := write(filepath.Join(out, name), content); err != nil {
			return err
		}
	}
	return nil
}

// Which evidence a bundle carries, and what is wrong with its certificate.
type proof struct {
	promise, inclusion, timestamp bool
	expired, uncertified          bool
}

func (s *sigstore) bundle(statement []byte, proof proof) (*protobundle.Bundle, error) {
	issued := time.Now()
	if proof.expired {
		issued = issued.Add(-time.Hour)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf, err := s.authority.certify(s.subject, s.issuer, &key.PublicKey, issued, !proof.uncertified)
	if err != nil {
		return nil, err
	}
	sig, err := sign(key, dsse.PAE(statementType, statement))
	if err != nil {
		return nil, err
	}
	material := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_Certificate{
			Certificate: &protocommon.X509Certificate{RawBytes: leaf.Raw},
		},
	}
	if proof.promise || proof.inclusion {
		envelope := &dsse.Envelope{
			PayloadType: statementType,
			Payload:     base64.StdEncoding.EncodeToString(statement),
			Signatures:  []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(sig)}},
		}
		at := time.Now().Unix()
		entry, err := s.GenerateTlogEntry(leaf, envelope, sig, at, proof.inclusion)
		if err != nil {
			return nil, err
		}
		logged := entry.TransparencyLogEntry()
		logged.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
		if proof.promise {
			promise, _, err := s.promise(logged.CanonicalizedBody, at)
			if err != nil {
				return nil, err
			}
			logged.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
		}
		material.TlogEntries = []*protorekor.TransparencyLogEntry{logged}
	}
	if proof.timestamp {
		response, err := s.TimestampResponse(sig)
		if err != nil {
			return nil, err
		}
		material.TimestampVerificationData = timestamps(response)
	}
	return envelope(material, statement, sig), nil
}

// A bundle as Rekor 2 has part in it; its certificate, of the virtual Sigstore's own authority, is in
// no certificate log.
func (s *sigstore) rekor2(statement []byte) (*protobundle.Bundle, error) {
	// Rekor 2 gives no time.
	entity, err := s.AttestAtTimeHashedRekordV2(s.subject, s.issuer, statement, time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	certificate, err := entity.VerificationContent()
	if err != nil {
		return nil, err
	}
	content, err := entity.SignatureContent()
	if err != nil {
		return nil, err
	}
	entries, err := entity.TlogEntries()
	if err != nil {
		return nil, err
	}
	responses, err := entity.Timestamps()
	if err != nil {
		return nil, err
	}
	return envelope(&protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_Certificate{
			Certificate: &protocommon.X509Certificate{RawBytes: certificate.Certificate().Raw},
		},
		TlogEntries:               []*protorekor.TransparencyLogEntry{entries[0].TransparencyLogEntry()},
		TimestampVerificationData: timestamps(responses[0]),
	}, statement, content.Signature()), nil
}

// A layer of cosign's first form and its annotations
// (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).
func (s *sigstore) layer(digest string) (any, error) {
	payload, err := json.Marshal(map[string]any{
		"critical": map[string]any{
			"identity": map[string]any{"docker-reference": "registry.example.com/app"},
			"image":    map[string]any{"docker-manifest-digest": digest},
			"type":     "cosign container image signature",
		},
		"optional": nil,
	})
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf, err := s.authority.certify(s.subject, s.issuer, &key.PublicKey, time.Now(), true)
	if err != nil {
		return nil, err
	}
	sig, err := sign(key, payload)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "0.0.1",
		"kind":       "hashedrekord",
		"spec": map[string]any{
			"data": map[string]any{
				"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sha256Of(payload))},
			},
			"signature": map[string]any{"content": sig, "publicKey": map[string]any{"content": pemOf(leaf)}},
		},
	})
	if err != nil {
		return nil, err
	}
	promise, logged, err := s.promise(body, time.Now().Unix())
	if err != nil {
		return nil, err
	}
	return s.attached(payload, sig, leaf, promise, logged)
}

// A layer with an attestation in cosign's first form, which has the signature in its content.
func (s *sigstore) envelope(statement []byte) (any, error) {
	bundle, err := s.bundle(statement, proof{promise: true})
	if err != nil {
		return nil, err
	}
	material := bundle.GetVerificationMaterial()
	leaf, err := x509.ParseCertificate(material.GetCertificate().RawBytes)
	if err != nil {
		return nil, err
	}
	signed := bundle.GetDsseEnvelope()
	content, err := json.Marshal(dsse.Envelope{
		PayloadType: signed.PayloadType,
		Payload:     base64.StdEncoding.EncodeToString(signed.Payload),
		Signatures:  []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(signed.Signatures[0].Sig)}},
	})
	if err != nil {
		return nil, err
	}
	entry := material.TlogEntries[0]
	promise, logged, err := s.promise(entry.CanonicalizedBody, entry.IntegratedTime)
	if err != nil {
		return nil, err
	}
	return s.attached(content, nil, leaf, promise, logged)
}

// attached is a layer and its annotations.
func (s *sigstore) attached(
	content, sig []byte, leaf *x509.Certificate, promise []byte, logged tlog.RekorPayload,
) (any, error) {
	rekor, err := json.Marshal(map[string]any{"SignedEntryTimestamp": promise, "Payload": logged})
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"payload": string(content),
		"annotations": map[string]string{
			"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(sig),
			"dev.sigstore.cosign/certificate":    string(pemOf(leaf)),
			"dev.sigstore.cosign/chain":          string(s.authority.chain()),
			"dev.sigstore.cosign/bundle":         string(rekor),
		},
	}, nil
}

// Rekor 1's promise to log an entry, the signed entry timestamp, and what it was signed for.
func (s *sigstore) promise(body []byte, at int64) ([]byte, tlog.RekorPayload, error) {
	log, err := s.RekorLogID()
	if err != nil {
		return nil, tlog.RekorPayload{}, err
	}
	payload := tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: at, LogIndex: 0, LogID: log,
	}
	promise, err := s.RekorSignPayload(payload)
	return promise, payload, err
}

func (s *sigstore) trustedRoot(
	authorities []root.CertificateAuthority, certificateLogs map[string]*root.TransparencyLog,
) (json.RawMessage, error) {
	logs := s.RekorLogs()
	for id, log := range logs {
		raw, err := hex.DecodeString(id)
		if err != nil {
			return nil, err
		}
		// The virtual Sigstore has the digits here; trusted roots, and all who read them, the bytes.
		log.ID = raw
		log.ValidityPeriodEnd = time.Time{}
	}
	trusted, err := root.NewTrustedRoot(
		root.TrustedRootMediaType01, authorities, certificateLogs, s.TimestampingAuthorities(), logs)
	if err != nil {
		return nil, err
	}
	return trusted.MarshalJSON()
}

// An in-toto statement (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md).
func statement(digest, predicateType string) []byte {
	content, err := json.Marshal(map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []any{map[string]any{"digest": map[string]any{"sha256": strings.TrimPrefix(digest, "sha256:")}}},
		"predicateType": predicateType,
		"predicate":     map[string]any{},
	})
	if err != nil {
		panic(err)
	}
	return content
}

func envelope(material *protobundle.VerificationMaterial, statement, sig []byte) *protobundle.Bundle {
	return &protobundle.Bundle{
		MediaType:            bundleType,
		VerificationMaterial: material,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload:     statement,
			PayloadType: statementType,
			Signatures:  []*protodsse.Signature{{Sig: sig}},
		}},
	}
}

func timestamps(response []byte) *protobundle.TimestampVerificationData {
	return &protobundle.TimestampVerificationData{
		Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: response}},
	}
}

func sign(key *ecdsa.PrivateKey, message []byte) ([]byte, error) {
	return key.Sign(rand.Reader, sha256Of(message), crypto.SHA256)
}

func write(path string, content any) error {
	var text []byte
	var err error
	switch content := content.(type) {
	case *protobundle.Bundle:
		text, err = protojson.Marshal(content)
	default:
		text, err = json.Marshal(content)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
