"""Makes the JSON schemas of this folder, by which kubeconform judges the manifests.

    generate.py CORE DEFINITION.yaml…

CORE is the folder of a version, such as v1.37.0-local-strict, in PyPI's package
kubernetes-validate; the others are custom resource definitions. Descriptions and status
are left out, and members that a definition does not name are refused, as the API server
does with --validate=strict. Of a custom resource's schema Kubernetes' own keywords stay: the tests
make the definitions out of it again, for a real API server.
"""

import json
import pathlib
import re
import sys

import yaml

CORE_KINDS = ["configmap-v1", "deployment-apps-v1", "namespace-v1", "networkpolicy-networking-v1",
              "poddisruptionbudget-policy-v1", "service-v1", "statefulset-apps-v1"]
REFERENCE = re.compile(r'"(?:/api/_definitions\.json)?#/\$defs/([^"]+)"')


def write(name, schema):
    schema["properties"].pop("status", None)
    text = json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n"
    pathlib.Path(__file__).with_name(name + ".json").write_text(text, encoding="utf-8")


def bare(schema, keywords=False):
    """The schema without descriptions, and without Kubernetes' own keywords unless they are asked for."""
    if isinstance(schema, list):
        return [bare(s, keywords) for s in schema]
    if not isinstance(schema, dict):
        return schema
    return {k: bare(v, keywords) for k, v in schema.items()
            if not (k == "description" and isinstance(v, str)) and (keywords or not k.startswith("x-kubernetes-"))}


def strict(schema):
    """The schema, closed where the definition leaves it open by silence."""
    if isinstance(schema, list):
        return [strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: strict(v) for k, v in schema.items()}
    if out.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
    if "properties" in out and out.get("type") == "object" and not out.get("x-kubernetes-preserve-unknown-fields"):
        out.setdefault("additionalProperties", False)
    return out


def core(folder):
    """Each kind with the definitions that it needs."""
    definitions = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    for kind in CORE_KINDS:
        schema = bare(json.loads((folder / f"{kind}.json").read_text(encoding="utf-8")))
        schema.pop("$id")
        schema["properties"].pop("status", None)
        needed, found = {}, REFERENCE.findall(json.dumps(schema))
        while found:
            name = found.pop()
            if name not in needed:
                needed[name] = bare(definitions[name])
                found += REFERENCE.findall(json.dumps(needed[name]))
        schema["$defs"] = needed
        write(kind, json.loads(REFERENCE.sub(r'"#/$defs/\1"', json.dumps(schema))))


def custom(path):
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
    for version in definition["versions"]:
        if not version["served"]:
            continue
        schema = bare(strict(version["schema"]["openAPIV3Schema"]), keywords=True)
        schema["properties"].update(apiVersion={"type": "string"}, kind={"type": "string"}, metadata={"type": "object"})
        write(f"{definition['group']}-{definition['names']['kind'].lower()}-{version['name']}", schema)


core(pathlib.Path(sys.argv[1]))
for argument in sys.argv[2:]:
    custom(pathlib.Path(argument))
