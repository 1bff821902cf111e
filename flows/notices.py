"""Words from a run's controller to the person at its driver, left with Ray's head.

Workers and controller write to logs of their own, on other hosts; what a person should know at once
is left here and shown between the lines of progress. Ray's own table of values is used because an
actor would be one more process, which costs a machine of two cores 1 % of one.
"""

from __future__ import annotations

import time
import uuid

from ray.exceptions import RayError
from ray.experimental import internal_kv

_NAMESPACE = "mila"


class Notices:
    """A board; may be pickled to the controller. Words that are lost stop nothing."""

    def __init__(self) -> None:
        """Choose a place of its own."""
        self._place = f"notices-{uuid.uuid4().hex}/"

    def tell(self, text: str) -> None:
        """Leave words."""
        key = f"{self._place}{time.time_ns():020d}"
        try:
            internal_kv._internal_kv_put(key, text, namespace=_NAMESPACE)
        except RayError:  # the head is away: then so is everything
            return

    def fetch(self) -> list[str]:
        """What was left since the last time, in order."""
        texts: list[str] = []
        try:
            for key in sorted(internal_kv._internal_kv_list(self._place, namespace=_NAMESPACE)):
                texts.append(internal_kv._internal_kv_get(key, namespace=_NAMESPACE).decode())
                internal_kv._internal_kv_del(key, namespace=_NAMESPACE)
        except RayError:  # look again later
            return texts
        return texts
