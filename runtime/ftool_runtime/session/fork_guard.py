"""`ForkGuard`: guard a resource that only the process that opened it may use, and only until `close`."""

import ctypes
import os
import weakref
from typing import Any, Final, Generic, NoReturn, TypeVar

from ftool_runtime.errors import ClosedError, OtherProcessError

Resource = TypeVar("Resource")


class ForkGuard(Generic[Resource]):
    """Guards a resource with its own threads and memory, such as a session, against use in a forked process.

    A forked process never frees the resource: freeing a session waits for its threads, which stayed in the parent, so
    that the forked process would never end.
    """

    def __init__(self, resource: Resource) -> None:
        """Hold `resource` for this process."""
        self._resource: Resource | None = resource
        _GUARDS.add(self)
        self._process = os.getpid()

    def get(self) -> Resource:
        """Return the resource.

        Raises ClosedError after `close`, and OtherProcessError in a child of the process that made this object.
        """
        resource = self._resource
        if resource is None:
            raise ClosedError("this model was closed; load it again")
        if os.getpid() != self._process:
            raise OtherProcessError(
                "this model was loaded before a fork and its threads stayed in the parent; "
                "load it in the child, or start processes with 'spawn'"
            )
        return resource

    def close(self) -> None:
        """Drop the resource. Code that already has the resource can still use it, but `get` raises ClosedError."""
        self._resource = None

    def __reduce__(self) -> NoReturn:
        raise OtherProcessError(
            "a loaded model can't be pickled or copied; pass the bundle's path and load it there"
        )


_GUARDS: Final[weakref.WeakSet[ForkGuard[Any]]] = weakref.WeakSet()


def _keep_resources() -> None:
    """Add a reference to the resource of each guard, which is never given up."""
    for guard in list(_GUARDS):
        if guard._resource is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(guard._resource))


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_keep_resources)
