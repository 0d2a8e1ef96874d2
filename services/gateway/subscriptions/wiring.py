"""Puts subscriptions into the gateway's parts."""

from __future__ import annotations

from collections.abc import Callable

from services.gateway.call import Gateway
from services.gateway.store.database import now_us
from services.gateway.subscriptions.delivery import Delivery
from services.gateway.subscriptions.numbering import Numbering


def attach(gateway: Gateway, clock_us: Callable[[], int] = now_us) -> Delivery:
    """Number events from now on; return what delivers them when it is run."""
    delivery = Delivery(gateway, clock_us)
    numbering = Numbering(gateway.store.subscriptions, delivery.wake)
    gateway.store.resources.observers.append(numbering)
    return delivery
