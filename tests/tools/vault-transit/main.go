// vault-transit serves HashiCorp Vault's own transit engine over HTTP: the engine that judges is real,
// only what lies around it in Vault (mounts, tokens, policies) is made up here.
//
// It serves two mounts, `transit` and `team/transit`, and knows two tokens: `root` may do everything,
// `reader` may read. `team/transit` is in the namespace `ns1`. Nothing outlives it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/logical"
)

type mount struct {
	path, namespace string
	backend         logical.Backend
	storage         logical.Storage
}

func newMount(path, namespace string) (mount, error) {
	storage := &logical.InmemStorage{}
	config := &logical.BackendConfig{
		Logger:      hclog.NewNullLogger(),
		System:      &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: time.Hour},
		StorageView: storage,
		BackendUUID: path,
		Config:      map[string]string{},
	}
	backend, err := transit.Factory(context.Background(), config)
	if err != nil {
		return mount{}, err
	}
	request := &logical.InitializationRequest{Storage: storage}
	return mount{path, namespace, backend, storage}, backend.Initialize(context.Background(), request)
}

func refuse(writer http.ResponseWriter, status int, message string) {
	answer(writer, status, map[string]any{"errors": []string{message}})
}

func answer(writer http.ResponseWriter, status int, body any) {
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	_ = json.NewEncoder(writer).Encode(body)
}

func (m mount) serve(writer http.ResponseWriter, request *http.Request, path string) {
	operations := map[string]logical.Operation{
		http.MethodGet: logical.ReadOperation, http.MethodPut: logical.UpdateOperation,
		http.MethodPost: logical.UpdateOperation,
	}
	operation, known := operations[request.Method]
	if !known {
		refuse(writer, http.StatusMethodNotAllowed, "unsupported operation")
		return
	}
	token := request.Header.Get("X-Vault-Token")
	if token != "root" && (token != "reader" || operation != logical.ReadOperation) {
		refuse(writer, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return
	}
	data := map[string]any{}
	if operation == logical.UpdateOperation && request.ContentLength != 0 {
		decoder := json.NewDecoder(request.Body)
		decoder.UseNumber()
		if err := decoder.Decode(&data); err != nil {
			refuse(writer, http.StatusBadRequest, "error parsing JSON")
			return
		}
	}
	asked := &logical.Request{
		Operation: operation, Path: path, Data: data, Storage: m.storage, MountPoint: m.path + "/",
	}
	response, err := m.backend.HandleRequest(request.Context(), asked)
	// Vault's own idea of which error is which status.
	if status, err := logical.RespondErrorCommon(asked, response, err); err != nil || status != 0 {
		message := []string{}
		if err != nil {
			message = append(message, err.Error())
		}
		answer(writer, status, map[string]any{"errors": message})
		return
	}
	if response == nil {
		writer.WriteHeader(http.StatusNoContent)
		return
	}
	answer(writer, http.StatusOK, map[string]any{"data": response.Data})
}

func main() {
	var mounts []mount
	for path, namespace := range map[string]string{"transit": "", "team/transit": "ns1"} {
		made, err := newMount(path, namespace)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		mounts = append(mounts, made)
	}
	handler := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		namespace := strings.Trim(request.Header.Get("X-Vault-Namespace"), "/")
		for _, mount := range mounts {
			path, found := strings.CutPrefix(request.URL.Path, "/v1/"+mount.path+"/")
			if found && namespace == mount.namespace {
				mount.serve(writer, request, path)
				return
			}
		}
		refuse(writer, http.StatusNotFound, "no handler for route")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	fmt.Fprintln(os.Stderr, http.Serve(listener, handler))
}
