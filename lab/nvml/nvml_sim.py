#!/usr/bin/env python3
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the NVML simulator; on a node it is /usr/sbin/nvml-sim.

Needs Python 3.9 and its standard library, and the nvml_*.py files beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import nvml_life
from nvml_node import Node
from nvml_state import SimError, default_directory
from nvml_topology import NVLINKS, TOPOLOGIES


def _init(node: Node, options: argparse.Namespace) -> None:
    node.init(
        options.boards,
        options.driver,
        options.numa_nodes,
        options.seed,
        options.topology,
        options.nvlink,
        options.nics,
    )


def _status(node: Node, options: argparse.Namespace) -> None:
    status = node.status()
    if options.json:
        print(json.dumps(status, indent=2))
        return
    state = status["node"]
    loaded = "loaded" if state["loaded"] else "not loaded"
    library, boots = state["library_version"], state["boots"]
    print(f"driver {state['driver_version']} ({loaded}), library {library}, boots {boots}")
    print(f"clients {status['clients'] or 'none'}")
    for gpu in status["gpus"]:
        lost = "  LOST" if gpu["lost"] else ""
        print(f"gpu {gpu['index']}  {gpu['name']}  {gpu['uuid']}  {gpu['pci']}{lost}")
        print(
            f"    power {gpu['power_limit_mw'] / 1000:g} W  persistence {gpu['persistence_mode']}"
            f"  compute mode {gpu['compute_mode']}  ecc {gpu['ecc']}  mig {gpu['mig']}"
            f"  lock graphics {gpu['lock_graphics_mhz']} memory {gpu['lock_memory_mhz']}"
            f"  processes {gpu['processes'] or 'none'}"
        )
        for instance in gpu["mig_instances"]:
            print(f"    {mig_line(instance)}")
    for fault in status["faults"]:
        print(f"fault {fault}")


def mig_line(instance: dict[str, Any]) -> str:
    """One GPU instance with its MIG devices."""
    start, size = instance["placement"]
    devices = "  ".join(f"{item['id']} {item['profile']} {item['uuid']}" for item in instance["compute"])
    return f"gpu instance {instance['id']}  {instance['profile']}  at {start}:{size}  {devices or 'empty'}"


def _set(node: Node, options: argparse.Namespace) -> None:
    value = None if options.value == "default" else options.value
    if options.gpu == "node":
        node.set_node(options.key, value)
        return
    targets = range(node.gpu_count()) if options.gpu == "all" else [options.gpu]
    for gpu in targets:
        node.set_value(gpu, options.key, value)


def _inject(node: Node, options: argparse.Namespace) -> None:
    node.inject(options.function, options.error, options.gpu, options.skip, options.times)


def _process(node: Node, options: argparse.Namespace) -> None:
    node.process(options.gpu, options.pid, None if options.mib == 0 else options.mib, options.force)


def _driver(node: Node, options: argparse.Namespace) -> None:
    if options.action == "install":
        if options.version is None:
            raise SimError("driver install: which version? (nvml-sim driver install 570.172.08)")
        nvml_life.install(node, options.version)
        return
    if options.version is not None:
        raise SimError(
            f"driver {options.action} takes no version; `driver install {options.version}` comes first"
        )
    if options.action == "load":
        nvml_life.load(node)
    else:
        {"unload": nvml_life.unload, "reload": nvml_life.reload}[options.action](node, options.force)


def _calls(node: Node, options: argparse.Namespace) -> None:
    calls = node.calls(clear=options.clear)
    if options.json:
        print(json.dumps(calls, indent=2))
        return
    for call in calls:
        gpu = "" if call["gpu"] is None else f" gpu {call['gpu']}"
        print(f"{call['pid']} {call['function']}({' '.join(call['arguments'])}){gpu} -> {call['result']}")


def _pci_tree(node: Node, options: argparse.Namespace) -> None:
    for address in node.pci_tree(options.root, options.devices, options.nics, options.nic_link):
        print(address)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="nvml-sim", description="Controls a simulated GPU node. No real GPU is touched."
    )
    top.add_argument("--dir", type=Path, help="state directory (else $NVML_SIM_DIR, else /var/lib/nvml-sim)")
    # The same option after the command; SUPPRESS keeps it from undoing the one before.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dir", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, parents=[common])
        made.set_defaults(run=run)
        return made

    made = command("init", _init, "make the node anew")
    made.add_argument("--boards", required=True, help="h100:8 or l40s:4,t4:2")
    made.add_argument("--driver", default="550.163.01")
    made.add_argument(
        "--numa-nodes", type=int, help="spread the GPUs over so many nodes (default: the host's)"
    )
    made.add_argument("--seed", help="makes UUIDs and serial numbers repeatable")
    made.add_argument("--topology", default="node", help="of PCI: " + ", ".join(TOPOLOGIES))
    made.add_argument("--nvlink", default="auto", help="wiring: " + ", ".join(NVLINKS))
    made.add_argument("--nics", type=int, default=0, help="network cards, spread over the GPUs")
    made = command("status", _status, "show everything, locks included")
    made.add_argument("--json", action="store_true")
    made = command("set", _set, "change a value behind everybody's back")
    made.add_argument("gpu", help="index, UUID, all, or node")
    made.add_argument("key")
    made.add_argument("value", help="a number, or default")
    made = command("inject", _inject, "let a function fail")
    made.add_argument("function")
    made.add_argument("error", help="such as GPU_IS_LOST, or its number")
    made.add_argument("--gpu")
    made.add_argument("--skip", type=int, default=0, help="let so many calls pass first")
    made.add_argument("--times", type=int, help="fail so many times (default: always)")
    command("clear", lambda node, _options: node.clear(), "forget injected failures")
    for name, value, text in (
        ("lose", "1", "let a GPU fall off the bus"),
        ("find", None, "bring a lost GPU back"),
    ):
        made = command(
            name, lambda node, options, value=value: node.set_value(options.gpu, "lost", value), text
        )
        made.add_argument("gpu")
    made = command("process", _process, "let a process use a GPU; 0 MiB: it is gone")
    made.add_argument("gpu", help="index, UUID, MIG UUID, or GPU:GPU-INSTANCE[:COMPUTE-INSTANCE]")
    made.add_argument("pid", type=int)
    made.add_argument("mib", type=int)
    made.add_argument("--force", action="store_true", help="whatever the compute mode says")
    made = command("driver", _driver, "unload, load, reload, or install a version for the next load")
    made.add_argument("action", choices=("unload", "load", "reload", "install"))
    made.add_argument("version", nargs="?")
    made.add_argument("--force", action="store_true", help="even while in use")
    made = command(
        "reset", lambda node, options: nvml_life.reset_gpu(node, options.gpu, options.force), "reset a GPU"
    )
    made.add_argument("gpu")
    made.add_argument("--force", action="store_true", help="even while in use")
    command("reboot", lambda node, _options: nvml_life.reboot(node), "boot the node")
    made = command("advance", lambda node, options: node.advance(options.seconds), "let time pass")
    made.add_argument("seconds", type=float)
    made = command("calls", _calls, "show the logged calls")
    made.add_argument("--clear", action="store_true", help="and forget them")
    made.add_argument("--json", action="store_true")
    made = command("log", lambda node, options: node.log(options.switch == "on"), "log the calls or not")
    made.add_argument("switch", choices=("on", "off"))
    made = command("pci-tree", _pci_tree, "write a tree shaped like /sys/bus/pci/devices")
    made.add_argument("root", type=Path)
    made.add_argument("--devices", type=Path, help="make links, into a tree shaped like /sys/devices here")
    made.add_argument("--nics", type=int, help="so many network cards (default: as at init)")
    made.add_argument("--nic-link", default="infiniband", help="infiniband or ethernet")
    made = command(
        "module-tree", lambda node, options: node.module_tree(options.root), "write and keep up /sys/module"
    )
    made.add_argument("root", type=Path)
    return top


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    os.umask(0)  # the files are for every user, as the driver is
    try:
        options.run(Node(options.dir or default_directory()), options)
    except SimError as error:
        print(f"nvml-sim: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"nvml-sim: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
