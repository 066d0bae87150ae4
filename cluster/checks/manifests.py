"""What schemas cannot say of rendered Kubernetes manifests: manifests.py kubernetes FILE."""
import re

from common import check_version, documents, fault, run, walk


def kubernetes(path):
    found = documents(path)
    named = {(document["kind"], document["metadata"]["name"]) for document in found}
    workloads = [document for document in found if document["kind"] in ("StatefulSet", "Deployment", "Job")]
    pods = [(document["metadata"]["name"], document["spec"]["template"]) for document in workloads]
    ports = {port["name"] for _, pod in pods for port in walk(pod, "ports") for port in port if "name" in port}
    for image in walk(found, "image"):
        check_version(image, path)
    for document in workloads:
        labels = document["spec"]["template"]["metadata"]["labels"]
        selector = document["spec"].get("selector", {}).get("matchLabels", {})
        if not selector.items() <= labels.items():
            fault(f"{document['kind']}'s selector {selector} is not among its pods' labels {labels}")
        if document["kind"] == "StatefulSet" and ("Service", document["spec"]["serviceName"]) not in named:
            fault(f"StatefulSet's serviceName {document['spec']['serviceName']} is no Service")
        claims = {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
        pod(document["spec"]["template"]["spec"], claims, named, found)
    for document in found:
        where = f"{document['kind']} {document['metadata']['name']}"
        selector = document.get("spec", {}).get("selector" if document["kind"] == "Service" else "podSelector")
        if document["kind"] in ("Service", "NetworkPolicy") and selector:
            wanted = selector.get("matchLabels", selector)
            if not any(wanted.items() <= pod["metadata"]["labels"].items() for _, pod in pods):
                fault(f"{where}: no pod has the labels {wanted}")
            for port in walk(document["spec"].get("ports", []) + document["spec"].get("ingress", []), "targetPort"):
                if isinstance(port, str) and port not in ports:
                    fault(f"{where}: no container has a port '{port}'")
            for rule in document["spec"].get("ingress", []):
                for port in rule.get("ports", []):
                    if isinstance(port["port"], str) and port["port"] not in ports:
                        fault(f"{where}: no container has a port '{port['port']}'")


def pod(spec, claims, named, found):
    """One pod: names within it agree, and it passes the Pod Security Standard `restricted`."""
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    mounted = set()
    base = spec.get("securityContext", {})
    if spec.get("automountServiceAccountToken") is not False:
        fault("the pod gets a token of the API server, which it does not need")
    for volume in volumes.values():
        kind = next(key for key in volume if key != "name")
        if kind not in ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "csi", "ephemeral"):
            fault(f"volume {volume['name']}: {kind} is not allowed to restricted pods")
        config = volume.get("configMap")
        if config and not config.get("optional") and ("ConfigMap", config["name"]) not in named:
            fault(f"volume {volume['name']}: there is no ConfigMap {config['name']}")
    for container in spec["containers"] + spec.get("initContainers", []):
        name = container["name"]
        security = {**base, **container.get("securityContext", {})}
        if security.get("runAsNonRoot") is not True or security.get("runAsUser", 0) == 0:
            fault(f"{name}: may run as root")
        if security.get("allowPrivilegeEscalation") is not False or security.get("readOnlyRootFilesystem") is not True:
            fault(f"{name}: allowPrivilegeEscalation must be false and readOnlyRootFilesystem true")
        if security.get("capabilities", {}).get("drop") != ["ALL"] or security["capabilities"].get("add"):
            fault(f"{name}: must drop ALL capabilities")
        if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            fault(f"{name}: has no seccomp profile")
        if "memory" not in container.get("resources", {}).get("limits", {}):
            fault(f"{name}: has no limit of memory")
        for mount in container.get("volumeMounts", []):
            mounted.add(mount["name"])
            if mount["name"] not in volumes and mount["name"] not in claims:
                fault(f"{name}: mounts {mount['name']}, which is no volume")
        variables = {entry["name"] for entry in container.get("env", [])}
        for source in container.get("envFrom", []):
            for document in found:
                if document["kind"] == "ConfigMap" and document["metadata"]["name"] == source["configMapRef"]["name"]:
                    variables |= set(document["data"])
        for variable in re.findall(r"\$\((\w+)\)", " ".join(container.get("args", []))):
            if variable not in variables:
                fault(f"{name}: no variable {variable}")
    for volume in (set(volumes) | claims) - mounted:
        fault(f"volume {volume} is mounted nowhere")


run(kubernetes)
