// Package openapi holds the description of the REST API: an OpenAPI 3.1 document,
// written in YAML files of one area each and put together when it is first
// asked for.
//
// The files are OpenAPI with these abbreviations:
//
//   - $ref: Name refers to the schema of that name in any file.
//   - In properties, name?: may also be null, which is as good as absent.
//   - tag, at the top of a file, is that of its operations.
//   - An operation has id (operationId), body (a schema of JSON), result (the
//     schema of the envelope's result), query (names of parameters in
//     document.yaml), table (the body may be a table, beside which the parameters so
//     named are in the URL), read (the parameters of reads), accepted (an empty 202 is
//     possible), errors (statuses beyond those of every operation) and plain (the
//     content of an answer without envelope). The parameters of the path are added.
package openapi
