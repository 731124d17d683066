"""Run the faults of some or all commands, print what was broken, and write the table of docs/reliability.md."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.faults.system import adopt_orphans, own_mounts, shim_folder, start_with_shim, unmount


def main() -> int:
    """Run what the arguments ask for; the exit status is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--points", type=int, default=50, help="kills of each command, plain and as process 1 each"
    )
    parser.add_argument(
        "--disks", type=int, default=10, help="disks of different sizes that fill, for each command"
    )
    parser.add_argument("--command", action="append", help="the name of a command; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the numbers there")
    parser.add_argument(
        "--table", nargs="+", type=Path, metavar="JSON", help="only write the table of these numbers"
    )
    options = parser.parse_args()
    if options.table:
        from tests.faults.table import write_table

        write_table([json.loads(path.read_text()) for path in options.table])
        return 0
    start_with_shim()
    with shim_folder() as place:
        found = _run(options, place)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return int(any(one["broken"] for one in found["commands"]))


def _run(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}
    from tests.faults.campaign import Campaign, Plan
    from tests.faults.commands import COMMANDS, FILLERS, WORDS
    from tests.faults.warm import import_all

    chosen = [one for one in COMMANDS if options.command is None or one.name in options.command]
    adopt_orphans()
    mounts = own_mounts()
    plan = Plan(
        points=options.points, disks=options.disks, seed=options.seed, mounts=mounts, numbered=_can_number()
    )
    import_all()
    _in_a_fork(
        lambda: _save_base(place / "base", [*FILLERS, *(word for words in WORDS.values() for word in words)])
    )
    found = []
    for command in chosen:
        campaign = Campaign(command, place / command.name.replace(", ", "-"), plan)
        (campaign.trial.parent).mkdir()
        (campaign.trial.parent / "base").symlink_to(place / "base")
        tally = campaign.run()
        if mounts:
            unmount(campaign.trial)
        found.append(tally.to_json())
        print(json.dumps(tally.to_json()), flush=True)
    return {
        "points": options.points,
        "disks": "mounted" if mounts else "imitated",
        "namespaces": plan.numbered,
        "seed": options.seed,
        "commands": found,
    }


def _save_base(folder: Path, pieces: list[str]) -> None:
    from tests.helpers.tiny_bert import save_tiny_base

    save_tiny_base(folder, pieces)


def _can_number() -> bool:
    from tests.faults.system import new_process_numbers

    child = os.fork()
    if child == 0:
        os._exit(0 if new_process_numbers() else 1)
    return os.waitpid(child, 0)[1] == 0


def _in_a_fork(work: Any) -> None:
    """Do some work in a forked process: threads that it starts could not be forked later."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    sys.exit(main())
