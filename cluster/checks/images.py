"""The image and docker-compose.yml: images.py images|dockerfile|compose."""
import glob
import os
import re

import yaml

from common import check_version, documents, fault, read, run, walk


def images():
    for line in read("cluster/Dockerfile").splitlines():
        if found := re.match(r"ARG \w+_IMAGE=(\S+)", line):
            check_version(found[1], "cluster/Dockerfile")
        elif (found := re.match(r"FROM (\S+)", line)) and not found[1].startswith("${"):
            check_version(found[1], "cluster/Dockerfile")
    for name, service in yaml.safe_load(read("docker-compose.yml"))["services"].items():
        check_version(service["image"], f"docker-compose.yml, {name}")
    for path in glob.glob("cluster/kubernetes/**/*.yaml", recursive=True):
        for image in walk(documents(path), "image"):
            # Its version comes from the overlay's `images`.
            if image != "pleach":
                check_version(image, path)
        for entry in (entry for entries in walk(documents(path), "images") for entry in entries):
            check_version(f"{entry['newName']}:{entry.get('newTag', '')}", path)


def dockerfile():
    ignore = [line for line in read("cluster/Dockerfile.dockerignore").splitlines() if line and line[0] != "#"]
    allowed = [line[1:] for line in ignore if line.startswith("!")]
    if ignore[0] != "*":
        fault("cluster/Dockerfile.dockerignore: should begin with '*', so that only what is named goes along")
    for found in re.finditer(r"^COPY (?!--from)(.*)$", read("cluster/Dockerfile"), re.M):
        for source in [word for word in found[1].split() if not word.startswith("--")][:-1]:
            if not os.path.exists(source):
                fault(f"cluster/Dockerfile copies {source}, which is not there")
            if not any(source == path or source.startswith(path + "/") for path in allowed):
                fault(f"cluster/Dockerfile copies {source}, which cluster/Dockerfile.dockerignore leaves out")
    for path in allowed:
        if not os.path.exists(path):
            fault(f"cluster/Dockerfile.dockerignore names {path}, which is not there")


def compose():
    import compose_spec

    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", read("docker-compose.yml"))
    # Aliases and merges are YAML's business, not the specification's.
    plain = yaml.safe_load(text)
    try:
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(plain)).validate()
    except Exception as error:
        fault(f"docker-compose.yml: {error}")
    for name, service in plain["services"].items():
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                fault(f"docker-compose.yml, {name}: port {port} is published beyond this machine")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and not os.path.exists(source):
                fault(f"docker-compose.yml, {name}: {source} is not there")
            if not source.startswith(("./", "/")) and source not in plain["volumes"]:
                fault(f"docker-compose.yml, {name}: volume {source} is not declared")


run(images, dockerfile, compose)
