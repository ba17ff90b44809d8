"""Which fault proxy stands between the subject and its servers: Shopify's Toxiproxy where there is one."""

import os
import shutil
from pathlib import Path

import docker
from msgspec import Struct

from harness.runtimes.docker import images
from harness.runtimes.docker.images import Image
from harness.services.proxy.client import TOXIPROXY, TOXIPROXY_VARIABLE
from harness.session import HarnessError


class ProxyServer(Struct, frozen=True, kw_only=True):
    """`program` is Toxiproxy's, in the image, where `mounts` brings it; empty: the embedded proxy takes its place."""

    image: str
    program: str
    found: str
    mounts: tuple[Path, ...] = ()


def choose(client: "docker.DockerClient", own: Image, asked: str) -> ProxyServer:
    """The image that was asked for; else this machine's program, which runs in our own image; else the embedded one.

    :raises NoImageError: the image that was asked for is not to be had
    :raises HarnessError: the variable names no program
    """
    if asked:
        image = images.find(client, asked, option="--toxiproxy-image")
        entry = client.images.get(asked).attrs["Config"]["Entrypoint"] or [TOXIPROXY]
        return ProxyServer(image=asked, program=str(entry[0]), found=f"Toxiproxy in {image.sentence}")
    named = os.environ.get(TOXIPROXY_VARIABLE)
    program = named or shutil.which(TOXIPROXY)
    if not program:
        return ProxyServer(image=own.name, program="", found="embedded (no Toxiproxy was found)")
    path = Path(program).resolve()
    if not os.access(path, os.X_OK):
        raise HarnessError(f"{TOXIPROXY_VARIABLE}={named} is not a program; unset it or correct it")
    return ProxyServer(
        image=own.name,
        program=str(path),
        found=f"Toxiproxy from {TOXIPROXY_VARIABLE if named else 'PATH'}",
        mounts=(path,),
    )
