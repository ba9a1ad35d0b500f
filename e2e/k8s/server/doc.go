// Package server has a real API server of Kubernetes judge the manifests: each is applied
// with --dry-run=server, by kubectl, into the namespace of k8s/namespace, whose Pod Security
// is restricted. It finds what schemas cannot say: rules between fields, those of the custom
// resources (CEL), defaults, admission.
// The server is compiled from its module, which takes minutes; that is why these tests are
// a module of their own and no part of `make test`: `make k8s-server` runs them.
package server
