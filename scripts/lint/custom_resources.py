"""Objects of the operators we offer components for, against small schemas: unknown members and missing ones."""
import pathlib
import sys

import jsonschema
import yaml


def record(required, **properties):
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "array", "items": TEXT, "minItems": 1}
ANY = {}
ISSUER = record(["name", "kind"], name=TEXT, kind={"enum": ["Issuer", "ClusterIssuer"]}, group=TEXT)
# Served by the oldest releases that docs/kubernetes.md asks for, and by the newest.
VERSIONS = {
    "ScaledObject": "keda.sh/v1alpha1",
    "KafkaUser": "kafka.strimzi.io/v1",
    "KafkaTopic": "kafka.strimzi.io/v1",
    "Elasticsearch": "elasticsearch.k8s.elastic.co/v1",
    "Issuer": "cert-manager.io/v1",
    "Certificate": "cert-manager.io/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}
SPECS = {
    "ScaledObject": record(
        ["scaleTargetRef", "minReplicaCount", "maxReplicaCount", "triggers", "fallback"],
        scaleTargetRef=record(["name"], apiVersion=TEXT, kind=TEXT, name=TEXT),
        # One ticker alone has nobody to hand over to.
        minReplicaCount={"type": "integer", "minimum": 2}, maxReplicaCount={"type": "integer", "minimum": 2},
        pollingInterval={"type": "integer"}, cooldownPeriod={"type": "integer"},
        fallback=record(
            ["failureThreshold", "replicas", "behavior"], failureThreshold={"type": "integer", "minimum": 1},
            replicas={"type": "integer", "minimum": 2}, behavior={"const": "currentReplicasIfHigher"}),
        advanced=ANY,
        triggers={"type": "array", "minItems": 1, "items": record(
            ["type", "metadata"], type={"enum": ["prometheus", "cpu"]}, metricType={"enum": ["Utilization", "AverageValue"]},
            metadata={"type": "object", "additionalProperties": {"type": "string"}})}),
    "KafkaUser": record(
        ["authentication", "authorization"], authentication=record(["type"], type={"enum": ["scram-sha-512", "tls"]}),
        authorization=record(["type", "acls"], type={"const": "simple"}, acls={"type": "array", "minItems": 1, "items": record(
            ["resource", "operations"],
            resource=record(["type"], type={"enum": ["topic", "group", "cluster", "transactionalId"]}, name=TEXT,
                            patternType={"enum": ["literal", "prefix"]}),
            operations={"type": "array", "items": {"enum": [
                "Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction", "AlterConfigs",
                "DescribeConfigs", "IdempotentWrite", "All"]}})})),
    "KafkaTopic": record(
        ["topicName", "partitions", "replicas"], topicName=TEXT, partitions={"type": "integer", "minimum": 1},
        replicas={"type": "integer", "minimum": 1}, config={"type": "object"}),
    "Elasticsearch": record(
        ["version", "nodeSets"], version=TEXT, http=ANY,
        auth=record([], roles={"type": "array", "items": record(["secretName"], secretName=TEXT)},
                    fileRealm={"type": "array", "items": record(["secretName"], secretName=TEXT)}),
        nodeSets={"type": "array", "minItems": 1, "items": record(
            ["name", "count"], name=TEXT, count={"type": "integer", "minimum": 1}, config={"type": "object"},
            podTemplate=ANY, volumeClaimTemplates={"type": "array"})}),
    "Issuer": {"type": "object", "minProperties": 1, "maxProperties": 1, "properties": {
        "selfSigned": {"type": "object"}, "ca": record(["secretName"], secretName=TEXT)}, "additionalProperties": False},
    "Certificate": record(
        ["secretName", "issuerRef"], secretName=TEXT, commonName=TEXT, isCA={"type": "boolean"}, uris=TEXTS, dnsNames=TEXTS,
        usages={"type": "array", "items": {"enum": ["digital signature", "server auth", "client auth", "key encipherment"]}},
        duration=TEXT, renewBefore=TEXT, issuerRef=ISSUER,
        privateKey=record(["algorithm"], algorithm={"enum": ["ECDSA", "RSA", "Ed25519"]}, size={"type": "integer"},
                          rotationPolicy={"enum": ["Always", "Never"]})),
    "PodMonitor": record(
        ["selector", "podMetricsEndpoints"], jobLabel=TEXT, selector={"type": "object"}, namespaceSelector={"type": "object"},
        podMetricsEndpoints={"type": "array", "minItems": 1, "items": record(
            ["port"], port=TEXT, path=TEXT, interval=TEXT, scrapeTimeout=TEXT)}),
    "PrometheusRule": record(["groups"], groups={"type": "array", "minItems": 1, "items": record(
        ["name", "rules"], name=TEXT, interval=TEXT, rules={"type": "array", "minItems": 1, "items": record(
            ["expr"], record=TEXT, alert=TEXT, expr=TEXT, labels={"type": "object"}, annotations={"type": "object"},
            **{"for": TEXT})})}),
}


def main(path):
    problems = []
    for document in yaml.safe_load_all(pathlib.Path(path).read_text()):
        kind = document["kind"]
        if kind not in SPECS:
            group = document["apiVersion"].rpartition("/")[0]
            # Kubernetes' own have a schema elsewhere.
            if "." in group and not group.endswith(".k8s.io"):
                problems.append(f"{kind} {document['metadata']['name']}: there is no schema for it here")
            continue
        if document["apiVersion"] != VERSIONS[kind]:
            problems.append(f"{kind} {document['metadata']['name']}: {document['apiVersion']} is not {VERSIONS[kind]}")
        for error in jsonschema.Draft202012Validator(SPECS[kind]).iter_errors(document.get("spec")):
            place = "/".join(str(part) for part in error.absolute_path)
            problems.append(f"{kind} {document['metadata']['name']}: spec/{place}: {error.message}")
    if problems:
        sys.exit("\n".join(problems))


main(sys.argv[1])
