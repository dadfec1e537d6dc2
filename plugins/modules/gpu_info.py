# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: Reads the NVIDIA GPUs of a node
version_added: 0.1.0
description:
  - Reads by NVML what C(nvidia-smi -q) and C(nvidia-smi topo -m) show, and network devices from C(/sys);
    changes nothing.
  - A node without GPUs, driver or binding is no failure; RV(available) says so, RV(reason) why.
  - Values that a GPU, driver or user does not get are V(null).
author:
  - swarm.node contributors (@swarm-node)
options:
  pynvml_path:
    description: A directory or wheel on the node that holds the Python module C(pynvml).
    type: path
  nvml_library:
    description: The absolute path of C(libnvidia-ml.so.1), where the dynamic linker does not find it.
    type: path
  sys_root:
    description: Where C(/proc), C(/sys) and C(/run) are looked for; for tests and containers.
    type: path
    default: /
requirements:
  - pynvml (Debian package python3-pynvml, or nvidia-ml-py)
  - psutil, for the names of processes
extends_documentation_fragment:
  - swarm.node.looks.attributes
"""

EXAMPLES = r"""
- name: Read the GPUs
  swarm.node.gpu_info:
  register: node_gpus

- name: Show GPUs that are slowed down by a power brake
  ansible.builtin.debug:
    msg: "{{ node_gpus.gpus | selectattr('throttle_reasons', 'contains', 'hw_power_brake_slowdown') }}"
  when: node_gpus.available

- name: Show the table of nvidia-smi topo -m
  ansible.builtin.debug:
    msg: "{{ node_gpus.topology.text }}"

- name: Stop where the NVLink fabric is broken
  ansible.builtin.assert:
    that: node_gpus.fabric.verdict in ['ready', 'not_needed']
    fail_msg: "{{ node_gpus.fabric.reasons | join('; ') }}"
"""

RETURN = r"""
available:
  description: Whether NVML answered.
  type: bool
  returned: always
reason:
  description: Why it did not, V(null) if it did.
  type: str
  returned: always
pci:
  description: Addresses of the NVIDIA GPUs that the PCI bus shows.
  type: list
  elements: str
  returned: always
manager:
  description: Who else manages the GPUs of this node, empty if nobody was found.
  type: str
  returned: always
driver_version:
  description: Version of the loaded driver.
  type: str
  returned: always
nvml_version:
  description: Version of the NVML library.
  type: str
  returned: always
cuda_version:
  description: The newest CUDA version the driver supports.
  type: str
  returned: always
gpus:
  description:
    - One entry per GPU with C(index), C(uuid), C(name), C(model), C(architecture), C(serial),
      C(vbios_version), C(minor), C(pci_bus_id), C(persistence_mode), C(compute_mode), C(performance_state),
      C(temperature) (°C) and the entries below.
    - C(power) (W) has C(draw), C(limit), C(enforced), C(default), C(min), C(max).
    - C(clocks) (MHz) has C(graphics), C(sm), C(memory), C(video), each with C(current) and C(max); the first
      and C(memory) also have C(supported), lowest and highest or all.
    - C(ecc) and C(mig) have C(current) and C(pending); C(ecc) also C(corrected) and C(uncorrected), each with
      C(since_reboot) and C(lifetime).
    - C(memory) (bytes) has C(total), C(used), C(free); C(utilization) (percent) C(gpu) and C(memory).
    - C(throttle_reasons) is a list of names; C(pcie) has C(generation), C(max_generation), C(width),
      C(max_width).
    - C(processes) is a list of C(pid), C(name), C(kind) and C(memory) (bytes).
    - C(health) has C(recovery_action) (what the driver asks for; V(none), V(gpu_reset), V(node_reboot),
      V(drain_p2p), V(drain_and_reset) and so on, V(unknown) where the driver is too old to say),
      C(throttle_reasons), C(ecc_uncorrected) (since the driver was loaded) and C(ecc_uncorrected_lifetime),
      C(remapped_rows), C(remap_pending), C(remap_failed), C(retired_pages), C(retirement_pending),
      C(temperature) and C(slowdown_temperature) (°C), C(pcie_width) and C(pcie_max_width),
      C(pcie_generation) and C(pcie_max_generation) (only while the GPU is at work), C(pcie_replays),
      C(nvlinks) and C(nvlinks_active), and C(attention), a list of C(severity) (V(critical) or V(warning)),
      C(what) and C(detail). Xid errors are not here; NVML does not keep them, the kernel's log does.
    - C(support) says of every setting of M(swarm.node.gpu), and of C(mig), V(yes) or why this GPU does not
      have it.
    - The board has C(brand), C(board_id), C(board_part_number), C(multi_gpu_board), C(module_id),
      C(compute_capability), C(cuda_cores), C(memory_bus_width) (bits), C(power_source), C(pci_device_id),
      C(pci_subsystem_id), C(virtualization) and C(display) (C(connected), C(active)); C(firmware) has
      C(gsp_version), C(gsp_enabled), C(inforom_image), C(inforom_oem), C(inforom_ecc), C(inforom_power).
    - C(bar1) (bytes) has C(total), C(used), C(free); C(memory_reserved) (bytes) is kept by the driver.
    - C(fans) is a list of C(speed) and C(target) (percent), empty for boards cooled from outside;
      C(temperature_thresholds) (°C) has C(shutdown), C(slowdown), C(memory_max), C(gpu_max);
      C(memory_temperature) is in °C.
    - C(power_draw) (W) has C(average) and C(instant); C(energy) is in J since the driver was loaded.
    - C(application_clocks) (MHz) has C(graphics) and C(memory), C(boost_clocks) (MHz) those and C(sm) and
      C(video).
    - C(pcie) also has C(replays), C(replay_rollovers), and C(tx) and C(rx) (KB/s).
    - C(media) has C(encoder), C(decoder), C(jpeg), C(ofa) (percent), and C(encoder_sessions) and
      C(capture_sessions), each with C(count), C(average_fps), C(average_latency) (µs).
    - C(violations) (ns since the driver was loaded) says for how long clocks were held down by C(power),
      C(thermal), C(sync_boost), C(board_limit), C(low_utilization), C(reliability).
    - C(accounting) has C(mode), C(buffer_size) and C(pids).
    - A GPU that does not answer has C(lost) (why) and its index only.
  type: list
  elements: dict
  returned: always
topology:
  description:
    - How the GPUs hang together. Without NVML it is what the PCI bus shows.
    - C(text) is the table of C(nvidia-smi topo -m).
    - C(gpus) has for every GPU C(index), C(uuid), C(lost), C(pci_bus_id), C(pci_path) (from the host bridge
      down), C(numa_node), C(own_numa_node) (of its memory, on coherent platforms), C(cpus) and the lists
      below.
    - C(nvlinks) with C(link), C(active), C(version), C(remote) (V(gpu), V(switch), V(npu), V(unknown)),
      C(remote_address), and C(errors) (C(replay), C(recovery), C(crc_flit), C(crc_data), C(ecc_data)).
    - C(peers) with C(index), C(relation) (V(NV18), V(PIX), V(PXB), V(PHB), V(NODE), V(SYS)), C(pcie) (the
      same without NVLinks), and C(p2p) (C(read), C(write), C(nvlink), C(atomics), C(pci), each V(ok) or why
      not).
    - C(nics) with C(nic) and C(relation).
    - C(numa_nodes) maps NUMA nodes to CPUs; C(nvswitches) are PCI addresses.
  type: dict
  returned: always
nics:
  description:
    - Network interfaces and RDMA devices with C(name), C(interface), C(rdma), C(kind), C(excluded) (why
      traffic between nodes should not go there), C(driver), C(pci_bus_id), C(physical_function) (of a
      virtual function), C(numa_node), C(cpus), C(speed) (Mbit/s), C(up), C(mtu), C(master), C(addressed)
      (has an IP address).
    - C(kind) is V(physical), V(bond), V(vlan), V(bridge), V(container_bridge), V(veth), V(wireguard),
      V(tunnel), V(loopback), V(dummy), V(representor) or V(virtual).
    - C(ports) of an RDMA device have C(number), C(active), C(link_layer), C(speed) (Mbit/s).
    - C(irqs) have C(number), C(name), C(cpus) (where they may go now).
  type: list
  elements: dict
  returned: always
fabric:
  description:
    - C(verdict) is V(ready), V(starting), V(failed) or V(not_needed), with C(reasons).
    - C(nvswitches) are PCI addresses; C(manager) says of nvidia-fabricmanager whether it is C(installed)
      and C(running), and which C(version) the installed one is (read only where there is a fabric).
    - C(gpus) have C(index), C(state) (V(not_supported), V(not_started), V(in_progress), V(completed)),
      C(status) (NVML's error number once completed), C(clique), C(cluster), C(summary) (V(healthy),
      V(unhealthy), V(limited_capacity)), C(lost), and C(health) with C(degraded_bandwidth),
      C(route_recovery), C(route_unhealthy), C(access_timeout_recovery), C(incorrect_configuration).
  type: dict
  returned: always
rdma:
  description:
    - Whether network devices can reach GPU memory (GPUDirect RDMA). C(verdict) is V(ready), V(not_ready) or
      V(not_needed), with C(reasons); C(hints) decide nothing.
    - C(modules) are the loaded ones of nvidia_peermem and nv_peer_mem, C(dmabuf) whether kernel and driver
      can do without, C(open_driver) whether the driver is the open one, C(devices) the RDMA devices,
      C(iommu) the types of their IOMMU groups, C(acs_redirects) the PCI bridges that send peer traffic to
      the CPU (V(null) without root).
  type: dict
  returned: always
affinity:
  description:
    - C(gpus) have C(index), C(uuid), C(pci_bus_id), C(numa_node), C(cpus), C(nearest) (names of the nearest
      network devices) and C(nics) (all of them, nearest first, with C(nic), C(interface), C(rdma),
      C(relation)).
    - C(irqs) of those devices have C(irq), C(name), C(nic), C(pci_bus_id), C(cpus) (where they belong),
      C(current), C(why).
  type: dict
  returned: always
nccl:
  description:
    - C(text) is what C(/etc/nccl.conf) should say on this node, V(null) if nothing.
    - C(reasons) have C(name), C(value), C(why) of each line; C(hints) is what may be worth measuring.
  type: dict
  returned: always
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.errors import LayerUnavailable, NodeError
from ..module_utils.gpu.info import collect
from ..module_utils.gpu.managers import find_manager
from ..module_utils.gpu.nvml import Nvml
from ..module_utils.gpu.presence import gpus_on_pci
from ..module_utils.gpu_topology.survey import survey

ARGUMENTS: dict[str, Any] = {
    "pynvml_path": {"type": "path"},
    "nvml_library": {"type": "path"},
    "sys_root": {"type": "path", "default": "/"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    root = Path(module.params["sys_root"])
    nvml = Nvml(module.params["pynvml_path"] or "", module.params["nvml_library"] or "")
    result: dict[str, Any] = {
        "changed": False,
        "available": True,
        "reason": None,
        "pci": gpus_on_pci(root),
        "manager": find_manager(root),
    }
    try:
        result.update(collect(nvml, root))
        result.update(survey(nvml, root, result["driver_version"]))
    except LayerUnavailable as error:
        nothing: dict[str, Any] = {
            "driver_version": None,
            "nvml_version": None,
            "cuda_version": None,
            "gpus": [],
        }
        result.update(nothing, available=False, reason=str(error))
        result.update(survey(None, root, None))
    except NodeError as error:
        module.fail_json(msg=str(error))
    finally:
        nvml.close()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
