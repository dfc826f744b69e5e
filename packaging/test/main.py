"""Runs the cases and prints the table. Started by packaging/test/run, in namespaces of its own."""

import os
import shutil
import signal
import sys
import time
import traceback

import cases
import lab
import static


def attempt(case, *arguments):
    begun = time.monotonic()
    try:
        result, text = "ok", case(*arguments)
    except lab.Failed as why:
        result, text = "FAILED", str(why)
    except Exception:
        result, text = "FAILED", traceback.format_exc()
    row = (case.__doc__, result, text, time.monotonic() - begun)
    print(f"{result:6}  {row[3]:5.1f} s  {row[0]}: {text}", flush=True)
    return row


def story(the_lab):
    """The end of every journal, for those who have to find out."""
    for machine in the_lab.machines.values():
        print(f"\n-- {machine.name}")
        try:
            print(machine.ask("journalctl", "--no-pager", "--unit=havipd", "--lines=40", "--output=short-precise"))
        except (lab.Failed, OSError, AttributeError) as why:
            print(why)


def main(wanted):
    # Being process 1 of its namespace: what is started here ends with it.
    if os.getpid() != 1:
        sys.exit("packaging/test/main.py is started by packaging/test/run")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    lab.forget_cgroups()
    shutil.rmtree(lab.WORK, ignore_errors=True)
    lab.WORK.mkdir(parents=True)
    # Of its own, so that overlays work wherever the tree is, and nothing stays.
    lab.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", lab.WORK)
    rows = [attempt(case) for case in static.CASES if chosen(case, wanted)]
    the_lab = None
    try:
        the_lab = cases.Lab()
        for case in cases.CASES:
            if case not in cases.FIRST and not chosen(case, wanted):
                continue
            rows.append(attempt(case, the_lab))
            if rows[-1][1] != "ok":
                story(the_lab)
                if case in cases.FIRST:
                    break
                the_lab.mend()
    finally:
        if the_lab:
            the_lab.off()
        lab.run("umount", "--recursive", "--lazy", lab.WORK, check=False)
        shutil.rmtree(lab.WORK, ignore_errors=True)
        lab.forget_cgroups()
    table(rows)
    failed = sum(row[1] != "ok" for row in rows)
    print(f"\n{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


def chosen(case, wanted):
    return not wanted or any(word in case.__name__ or word in case.__doc__ for word in wanted)


def table(rows):
    print("\n| case | result | figure |\n|---|---|---|")
    for case, result, text, _ in rows:
        first = (text.splitlines() or [""])[0]
        print(f"| {case} | {result} | {first} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
