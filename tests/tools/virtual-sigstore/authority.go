package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
)

// A Fulcio with its certificate log. The virtual Sigstore has a Fulcio of its own, but its certificates
// are in no log and name only mail addresses.
type authority struct {
	root, intermediate *x509.Certificate
	key, log           *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	root, rootKey, err := ca.GenerateRootCa()
	if err != nil {
		return nil, err
	}
	intermediate, key, err := ca.GenerateFulcioIntermediate(root, rootKey)
	if err != nil {
		return nil, err
	}
	log, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &authority{root, intermediate, key, log}, nil
}

// certify issues a certificate as Fulcio does: for ten minutes, with the issuer in both of its
// extensions (https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md).
func (a *authority) certify(
	subject, issuer string, key *ecdsa.PublicKey, issued time.Time, isLogged bool,
) (*x509.Certificate, error) {
	text, err := asn1.MarshalWithParams(issuer, "utf8")
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(issued.UnixNano()),
		NotBefore:    issued,
		NotAfter:     issued.Add(10 * time.Minute),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(issuer)},
			{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: text},
		},
	}
	if strings.Contains(subject, "://") {
		uri, err := url.Parse(subject)
		if err != nil {
			return nil, err
		}
		template.URIs = []*url.URL{uri}
	} else {
		template.EmailAddresses = []string{subject}
	}
	certificate, err := a.issue(template, key)
	if err != nil || !isLogged {
		return certificate, err
	}
	// What the log signs is the certificate without the extension that holds the log's signature
	// (RFC 6962, section 3.2): the one just made.
	timestamp, err := a.timestamp(certificate)
	if err != nil {
		return nil, err
	}
	template.ExtraExtensions = append(template.ExtraExtensions, *timestamp)
	return a.issue(template, key)
}

func (a *authority) issue(template *x509.Certificate, key *ecdsa.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, a.intermediate, key, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// timestamp is the extension with the certificate log's signed certificate timestamp.
func (a *authority) timestamp(certificate *x509.Certificate) (*pkix.Extension, error) {
	sct := ct.SignedCertificateTimestamp{
		SCTVersion: ct.V1,
		LogID:      ct.LogID{KeyID: a.logID()},
		Timestamp:  uint64(time.Now().UnixMilli()),
	}
	entry := ct.LogEntry{Leaf: ct.MerkleTreeLeaf{
		Version:  ct.V1,
		LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			Timestamp: sct.Timestamp,
			EntryType: ct.PrecertLogEntryType,
			PrecertEntry: &ct.PreCert{
				IssuerKeyHash:  sha256.Sum256(a.intermediate.RawSubjectPublicKeyInfo),
				TBSCertificate: certificate.RawTBSCertificate,
			},
		},
	}}
	input, err := ct.SerializeSCTSignatureInput(sct, entry)
	if err != nil {
		return nil, err
	}
	signature, err := tls.CreateSignature(*a.log, tls.SHA256, input)
	if err != nil {
		return nil, err
	}
	sct.Signature = ct.DigitallySigned(signature)
	list, err := x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{&sct})
	if err != nil {
		return nil, err
	}
	serialized, err := tls.Marshal(*list)
	if err != nil {
		return nil, err
	}
	value, err := asn1.Marshal(serialized)
	if err != nil {
		return nil, err
	}
	return &pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}, nil
}

func (a *authority) trusted() root.CertificateAuthority {
	return &root.FulcioCertificateAuthority{
		Root:                a.root,
		Intermediates:       []*x509.Certificate{a.intermediate},
		ValidityPeriodStart: time.Now().Add(-5 * time.Hour),
		URI:                 "https://fulcio.example.com",
	}
}

func (a *authority) logs() map[string]*root.TransparencyLog {
	id := a.logID()
	return map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {
		BaseURL:             "https://ctlog.example.com",
		ID:                  id[:],
		ValidityPeriodStart: time.Now().Add(-5 * time.Hour),
		HashFunc:            crypto.SHA256,
		PublicKey:           a.log.Public(),
	}}
}

func (a *authority) logID() [sha256.Size]byte {
	key, err := x509.MarshalPKIXPublicKey(a.log.Public())
	if err != nil {
		panic(err)
	}
	return sha256.Sum256(key)
}

func (a *authority) chain() []byte {
	return append(pemOf(a.intermediate), pemOf(a.root)...)
}

func pemOf(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

func sha256Of(content []byte) []byte {
	sum := sha256.Sum256(content)
	return sum[:]
}
