package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

// Where Rekor 1 takes entries, and has them (sigstore/rekor, openapi.yaml).
const entriesPath = "/api/v1/log/entries"

// A Rekor 1 with the virtual Sigstore's log: entries are validated and written down by Rekor's own code,
// and the trees have one leaf. Requests are counted in the file `requests`, a line each.
//
// The file `lie`, where there is one, says how the log lies of what it is told from then on:
//
//	body     it answers with another entry
//	promise  its promise is for another time
//	proof    its proof is of another tree
//	down     it answers 503
//	lost     it keeps the entry and answers 503, as if the answer got lost
type rekor struct {
	*ca.VirtualSigstore
	folder  string
	guard   sync.Mutex
	entries map[string]models.LogEntryAnon
}

// serve writes trusted_root.json, rekor.pub and, for a subject, keys with certificates into the folder, says its
// address, and serves.
func serve(subject, issuer, folder string) error {
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		return err
	}
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	s := &sigstore{virtual, authority, subject, issuer}
	if subject != "" {
		for name, subject := range map[string]string{"signer": subject, "another": "another@example.com"} {
			if err := s.signer(folder, name, subject); err != nil {
				return err
			}
		}
	}
	authorities := []root.CertificateAuthority{authority.trusted()}
	trusted, err := s.trustedRoot(authorities, authority.logs())
	if err != nil {
		return err
	}
	if err := write(filepath.Join(folder, "trusted_root.json"), trusted); err != nil {
		return err
	}
	for _, log := range virtual.RekorLogs() {
		der, err := x509.MarshalPKIXPublicKey(log.PublicKey.(*ecdsa.PublicKey))
		if err != nil {
			return err
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		if err := os.WriteFile(filepath.Join(folder, "rekor.pub"), text, 0o644); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log := &rekor{VirtualSigstore: virtual, folder: folder, entries: map[string]models.LogEntryAnon{}}
	return (&http.Server{Handler: log, ReadHeaderTimeout: time.Minute}).Serve(listener)
}

func (r *rekor) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.guard.Lock()
	defer r.guard.Unlock()
	r.note(request.Method + " " + request.URL.Path)
	lie := r.lie()
	if lie == "down" {
		refuse(w, http.StatusServiceUnavailable, "down")
		return
	}
	switch {
	case request.Method == http.MethodPost && request.URL.Path == entriesPath:
		r.add(w, request, lie)
	case request.Method == http.MethodGet && strings.HasPrefix(request.URL.Path, entriesPath+"/"):
		uuid := strings.TrimPrefix(request.URL.Path, entriesPath+"/")
		if entry, found := r.entries[uuid]; found {
			answer(w, http.StatusOK, models.LogEntry{uuid: entry})
		} else {
			refuse(w, http.StatusNotFound, "there is no such entry")
		}
	default:
		refuse(w, http.StatusNotFound, "there is nothing here")
	}
}

func (r *rekor) add(w http.ResponseWriter, request *http.Request, lie string) {
	proposed, err := models.UnmarshalProposedEntry(request.Body, runtime.JSONConsumer())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		refuse(w, http.StatusBadRequest, "error processing entry: "+err.Error())
		return
	}
	body, err := types.CanonicalizeEntry(context.Background(), entry)
	if err != nil {
		refuse(w, http.StatusBadRequest, "error processing entry: "+err.Error())
		return
	}
	uuid := leaf(body)
	if _, found := r.entries[uuid]; found {
		w.Header().Set("Location", entriesPath+"/"+uuid)
		refuse(w, http.StatusConflict, "an equivalent entry already exists in the transparency log with UUID "+uuid)
		return
	}
	if lie == "body" {
		body = bytes.Replace(body, []byte(`"algorithm":"sha256"`), []byte(`"algorithm":"sha512"`), 1)
	}
	logged, err := r.logged(body, lie)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	r.entries[uuid] = *logged
	if lie == "lost" {
		_ = os.Remove(filepath.Join(r.folder, "lie"))
		refuse(w, http.StatusServiceUnavailable, "lost")
		return
	}
	w.Header().Set("Location", entriesPath+"/"+uuid)
	w.Header().Set("ETag", uuid)
	answer(w, http.StatusCreated, models.LogEntry{uuid: *logged})
}

func (r *rekor) logged(body []byte, lie string) (*models.LogEntryAnon, error) {
	id, err := r.RekorLogID()
	if err != nil {
		return nil, err
	}
	at, index := time.Now().Unix(), int64(len(r.entries))
	promised := tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: at, LogIndex: index, LogID: id,
	}
	if lie == "promise" {
		promised.IntegratedTime--
	}
	promise, err := r.RekorSignPayload(promised)
	if err != nil {
		return nil, err
	}
	proven := body
	if lie == "proof" {
		proven = []byte("another")
	}
	proof, err := r.GetInclusionProof(proven)
	if err != nil {
		return nil, err
	}
	if proof.Hashes == nil {
		proof.Hashes = []string{}
	}
	return &models.LogEntryAnon{
		Body: promised.Body, IntegratedTime: &at, LogIndex: &index, LogID: &id,
		Verification: &models.LogEntryAnonVerification{
			SignedEntryTimestamp: promise, InclusionProof: proof,
		},
	}, nil
}

// signer writes a key and its certificate, as somebody has them whom Fulcio knows.
func (s *sigstore) signer(folder, name, subject string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf, err := s.authority.certify(subject, s.issuer, &key.PublicKey, time.Now(), true)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(folder, name+".key"), private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name+".pem"), pemOf(leaf), 0o644)
}

// What the file `lie` says.
func (r *rekor) lie() string {
	text, err := os.ReadFile(filepath.Join(r.folder, "lie"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (r *rekor) note(line string) {
	file, err := os.OpenFile(filepath.Join(r.folder, "requests"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	fmt.Fprintln(file, line)
}

// The name of an entry: its leaf in the tree (RFC 6962, section 2.1).
func leaf(body []byte) string {
	hash := crypto.SHA256.New()
	hash.Write([]byte{0})
	hash.Write(body)
	return hex.EncodeToString(hash.Sum(nil))
}

func refuse(w http.ResponseWriter, code int, message string) {
	answer(w, code, models.Error{Code: int64(code), Message: message})
}

func answer(w http.ResponseWriter, code int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(content)
}
