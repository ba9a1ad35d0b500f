// Package k8s checks the manifests of the folder of that name: every rendering of them, by
// kustomize and by Helm, against the schemas of their kinds, the API server's own rules of
// Pod Security's level restricted, and the binary that is to read their configuration.
// The tests run in that folder. They are a module of their own, with the programs that
// they need; e2e/setup.sh installs the others, and `make k8s` does all.
package k8s
