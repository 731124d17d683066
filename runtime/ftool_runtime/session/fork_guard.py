"""What a loaded model holds open: used by the process that loaded it alone, and not after `close`."""

import os
from typing import Generic, NoReturn, TypeVar

from ftool_runtime.errors import ClosedError, OtherProcessError

Resource = TypeVar("Resource")


class ForkGuard(Generic[Resource]):
    """A resource with threads and memory of its own, such as a session."""

    def __init__(self, resource: Resource) -> None:
        """Hold `resource` open in this process."""
        self._resource: Resource | None = resource
        self._process = os.getpid()

    def get(self) -> Resource:
        """The resource. Raises ClosedError after `close`, OtherProcessError in a child of this process."""
        resource = self._resource
        if resource is None:
            raise ClosedError("this model was closed; load it again")
        if os.getpid() != self._process:
            raise OtherProcessError(
                "this model was loaded before a fork and its threads stayed in the parent; "
                "load it in the child, or start processes by 'spawn'"
            )
        return resource

    def close(self) -> None:
        """Let go of the resource. Whoever has it goes on; `get` raises from now on."""
        self._resource = None

    def __reduce__(self) -> NoReturn:
        raise OtherProcessError(
            "a loaded model can't be pickled or copied; pass the bundle's path and load it there"
        )
