"""Python imports this file first in every process that has this directory on its PYTHONPATH: the course works offline.

The tests put the directory there (see ``course_utils/authoring/isolation.py``), so that each notebook kernel, and each
process that a notebook starts, refuses to reach another machine. Loopback addresses and Unix sockets stay open, because
Jupyter talks to its kernels through them.

An audit hook sees the call before the socket is used, also where a library holds its own reference to
``socket.socket``, and it cannot be taken off again. The standard library names the events in
https://docs.python.org/3/library/audit_events.html.
"""

import importlib.machinery
import importlib.util
import ipaddress
import os
import socket
import sys

ADDRESS_AT = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1}
HOST_AT = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}


def is_this_machine(host):
    """Return whether ``host`` (text, bytes or None) names this machine and needs no network to find."""
    if host is None:
        return True
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    host = str(host).strip("[]").partition("%")[0].rstrip(".").lower()
    if host in {"", "localhost", "broadcasthost"} or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == socket.gethostname().lower()
    return address.is_loopback or address.is_unspecified


def refuse_other_machines(event, args):
    """Audit hook: raise OSError when ``event`` would look up or reach another machine."""
    if event in HOST_AT:
        host = args[HOST_AT[event]]
    elif event in ADDRESS_AT:
        address = args[ADDRESS_AT[event]]
        if not isinstance(address, tuple) or not address:  # a Unix socket, or a socket that is connected already
            return
        host = address[0]
    else:
        return
    if not is_this_machine(host):
        raise OSError(
            f"the course works offline: {event} to {host!r} is refused while the tests run. "
            "Use data that the repository or an installed package ships."
        )


def import_the_next_sitecustomize():
    """Run the ``sitecustomize`` that this file hides, where the Python installation or a tool has one."""
    here = os.path.realpath(os.path.dirname(__file__))
    others = [entry for entry in sys.path if os.path.realpath(entry or os.getcwd()) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if not getattr(sys, "course_works_offline", False):
    sys.addaudithook(refuse_other_machines)
    sys.course_works_offline = True

if __name__ == "sitecustomize":
    import_the_next_sitecustomize()
