"""What a name stands for: codecs, filters, formats, schemes and layouts, ours and those of other packages.

Other packages announce theirs as entry points, which are loaded only when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from golfbudget.errors import UsageError


class Named(Protocol):
    """Anything that can be registered."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Instances by name, in the order in which they were registered; a name can be taken once.

    `noun` is what messages call one of them.  `group` is the entry point group of other packages, and `made` gives
    the instance that an announced object is or makes, None where it is something else.  With `ours_first` another
    package's member whose name is taken is passed over, not refused.
    """

    def __init__(
        self,
        noun: str,
        *,
        group: str = "",
        made: Callable[[object], T | None] | None = None,
        ours_first: bool = False,
    ) -> None:
        self._noun = noun
        self._group = group
        self._made = made
        self._ours_first = ours_first
        self._members: dict[str, T] = {}
        self._others: tuple[T, ...] | None = None

    def register(self, member_class: Callable[[], T]) -> Callable[[], T]:
        """Decorate a class to have its instance registered; `UsageError` for a name that is taken."""
        member = member_class()
        if member.name in self._members:
            raise UsageError(f"{self._noun} {member.name!r} is registered twice")
        self._members[member.name] = member
        return member_class

    def registered(self) -> dict[str, T]:
        """A copy: our members, and those of other packages after `load_others`."""
        return dict(self._members)

    def get(self, name: str) -> T:
        """The member of that name, another package's where none of ours has it; `UsageError` lists the known ones."""
        if name not in self._members:
            self.load_others()
        try:
            return self._members[name]
        except KeyError:
            known = ", ".join(sorted(self._members))
            raise UsageError(f"no {self._noun} is called {name!r}; known: {known}") from None

    def load_others(self) -> tuple[T, ...]:
        """Register what installed packages announce, once, and return it.

        `UsageError` names an entry point that is something else, that cannot be loaded, or whose name is taken.
        """
        if self._others is None:
            others: dict[str, T] = {}
            for label, member in self._announced():
                if member.name not in self._members | others:
                    others[member.name] = member
                elif not self._ours_first:
                    raise UsageError(f"{label}: a {self._noun} {member.name!r} is there already")
            self._members |= others
            self._others = tuple(others.values())
        return self._others

    def _announced(self) -> Iterator[tuple[str, T]]:
        """(how messages call the entry point, its member)."""
        if self._made is None:
            return
        from importlib.metadata import entry_points

        for point in sorted(entry_points(group=self._group), key=lambda point: point.name):
            try:
                announced = point.load()
            except Exception as error:
                raise UsageError(
                    f"the entry point {point.name!r} ({point.value}) of {self._group} cannot be loaded: {error}"
                ) from error
            label = f"the entry point {point.name!r} of {self._group}"
            member = self._made(announced)
            if member is None:
                raise UsageError(f"{label} is no {self._noun}: see {self._group}.{self._noun.capitalize()}")
            yield label, member
