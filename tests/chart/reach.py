"""Who reaches whom under a set of NetworkPolicies, as Kubernetes decides it.

A connection passes when the policies of both ends let it; a pod that no policy selects for a
direction is open in it. Source: the NetworkPolicy API, networking.k8s.io/v1.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """One end of a connection."""

    name: str
    namespace: str
    labels: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, name: str, namespace: str, labels: dict[str, str]) -> Pod:
        """Return a pod with labels."""
        return cls(name, namespace, tuple(sorted(labels.items())))


class Network:
    """The policies of a cluster."""

    def __init__(self, policies: list[Document]) -> None:
        self._policies = policies

    def connects(self, source: Pod, target: Pod, port: int) -> bool:
        """Tell whether `source` may open a TCP connection to a pod."""
        leaves = self._passes("egress", "to", source, target, port)
        return leaves and self._passes("ingress", "from", target, source, port)

    def leaves(self, source: Pod, address: str, port: int) -> bool:
        """Tell whether `source` may open a TCP connection to an address outside."""
        return self._passes("egress", "to", source, ipaddress.ip_address(address), port)

    def selected(self, policy: Document, pod: Pod) -> bool:
        """Tell whether a policy is about a pod."""
        same = policy["metadata"].get("namespace", "dxmesh") == pod.namespace
        return same and _matches(policy["spec"]["podSelector"], dict(pod.labels))

    def _passes(self, direction: str, side: str, pod: Pod, other: Any, port: int) -> bool:
        own = [
            policy
            for policy in self._policies
            if self.selected(policy, pod)
            and direction.capitalize() in policy["spec"]["policyTypes"]
        ]
        return not own or any(
            _port_fits(rule, port) and _peer_fits(rule.get(side), other, policy)
            for policy in own
            for rule in policy["spec"].get(direction, [])
        )


def _port_fits(rule: Document, port: int) -> bool:
    ports = rule.get("ports")
    return not ports or any(p["protocol"] == "TCP" and p["port"] == port for p in ports)


def _peer_fits(peers: list[Document] | None, other: Any, policy: Document) -> bool:
    if not peers:
        return True
    return any(_is_peer(peer, other, policy) for peer in peers)


def _is_peer(peer: Document, other: Any, policy: Document) -> bool:
    if "ipBlock" in peer:
        return not isinstance(other, Pod) and other in ipaddress.ip_network(peer["ipBlock"]["cidr"])
    if not isinstance(other, Pod):
        return False
    namespace = {"kubernetes.io/metadata.name": other.namespace}
    if "namespaceSelector" in peer:
        here = _matches(peer["namespaceSelector"], namespace)
    else:
        here = other.namespace == policy["metadata"].get("namespace", "dxmesh")
    return here and _matches(peer.get("podSelector", {}), dict(other.labels))


def _matches(selector: Document, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "only matchLabels are understood here"
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())
