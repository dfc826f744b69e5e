"""What the packages must do in booted machines. Each case returns the figure for the table, or raises Failed."""

import datetime
import json
import time

import evidence
from lab import ADDRESS, DEAD_TIME, Cloud, Client, Failed, Machine, expect, run, wait

KEY = bytes(range(0xe0, 0x100)).hex()
VERSIONS = {"deb": "/packages/havipd_*-{}_*.deb", "rpm": "/packages/havipd-[0-9]*-{}.*.rpm"}


def install(machine, kind, revision):
    path = VERSIONS[kind].format(revision)
    # rpm warns on Debian; libraries are not in its database there.
    tool = "dpkg --install" if kind == "deb" else "rpm --force-debian --nodeps -U --oldpackage"
    return machine.run("sh", "-c", f"{tool} {path}")


def expect_handover(cause, gap):
    """A planned move waits for nobody's dead time."""
    expect(cause == "handed-over" and gap < DEAD_TIME / 2, f"it moved for {cause}, gap {gap * 1000:.0f} ms")


class Lab:
    """Two nodes and a witness."""

    def __init__(self):
        self.cloud = Cloud()
        self.machines = {name: Machine(name, n) for n, name in enumerate("abw", 1)}
        self.client = None

    def off(self):
        if self.client:
            self.client.off()
        for machine in self.machines.values():
            machine.off()
        self.cloud.off()

    def mend(self):
        """Boots what a failed case left without power, and starts what it left stopped."""
        for machine in self.machines.values():
            if machine.process and machine.process.poll() is not None:
                machine.boot()
            if machine.ask("systemctl", "is-enabled", "havipd") == "enabled":
                machine.run("systemctl", "start", "havipd")

    def at_rest(self, live):
        """The one active machine among `live` (of a and b); cloud, address and peers agree with it."""
        groups = {name: self.machines[name].group() for name in [*live, "w"]}
        active = [name for name in live if groups[name]["role"] == "active"]
        others = [name for name in live if groups[name]["role"] not in ("active", "backup")]
        expect(len(active) == 1 and not others, f"roles are { {name: groups[name]['role'] for name in live} }")
        holder = self.cloud.holder()
        expect(holder == active[0], f"{active[0]} is active, and the cloud names {holder}")
        has = [name for name in live if f" {ADDRESS}/32 " in self.machines[name].run("ip", "-4", "address")]
        expect(has == active, f"{active[0]} is active, and the address is on {has}")
        for name, group in groups.items():
            up = sum(peer["state"] == "up" for peer in group["peers"])
            expect(up == len(live), f"{name} has {up} peers up")
            expect(group["uptime_ms"] > 2200 * DEAD_TIME, f"{name} has only just started")
        return active[0]

    def settle(self, live="ab"):
        active = wait("the cluster comes to rest", 60, lambda: self.at_rest(live))
        self.client.serves()
        return active

    def pair(self):
        """The active machine and the other one."""
        active = self.settle()
        return self.machines[active], self.machines["b" if active == "a" else "a"]

    def moved(self, deed, both=False):
        """Does it to the active machine; the HAVIP must go to the other one, once, and both must then run if said so.
        The cause that the other one's history gives, and the gap, both taken when all is at rest again."""
        active, backup = self.pair()
        start, since = len(self.client.sent), datetime.datetime.now(datetime.timezone.utc)
        deed(active)
        wait("the other node is active", 60, lambda: self.moved_to(backup))
        live = "ab" if both else backup.name
        now = self.settle(live)
        expect(now == backup.name, f"it went on to {now}")
        # A vote of the node that left lasts a dead time: what stands on it would fall now.
        end = time.monotonic() + 1.2 * DEAD_TIME
        while time.monotonic() < end:
            self.at_rest(live)
            time.sleep(0.1)
        answer = backup.run("havipctl", "--json", "history", f"--since={since.isoformat()}")
        history = json.loads(answer)["data"]["entries"]
        causes = [entry["cause"] for entry in history if entry.get("to") == "claiming"]
        expect(len(causes) == 1, f"{now} claimed {len(causes)} times: {history}")
        return causes[0], self.client.gap(start), active

    def moved_to(self, machine):
        expect(machine.group()["role"] == "active" and self.cloud.holder() == machine.name,
               f"{machine.name} is {machine.group()['role']}")
        return machine.name

    def unmoved(self, machine, deed):
        """Does it to `machine`, whose daemon must be another process then; nothing may move. Returns the gap."""
        before, writes = self.settle(), self.cloud.writes()
        pid, start = machine.main_pid(), len(self.client.sent)
        deed(machine)
        expect(machine.main_pid() not in (pid, "0"), "the daemon was not restarted")
        after = self.settle()
        expect(after == before, f"the HAVIP went from {before} to {after}")
        expect(self.cloud.writes() == writes, f"{self.cloud.writes() - writes} calls changed bindings")
        gap = self.client.gap(start)
        expect(gap < DEAD_TIME, f"nobody answered for {gap * 1000:.0f} ms")
        return f"gap {gap * 1000:.0f} ms, no call that writes"


def nothing_runs(machine):
    for question, answer in (("is-enabled", "disabled"), ("is-active", "inactive")):
        said = machine.ask("systemctl", question, "havipd")
        expect(said == answer, f"systemctl {question} says {said}")


def installation(lab):
    """deb: installed, nothing enabled or started"""
    for machine in lab.machines.values():
        machine.boot()
        install(machine, "deb", 1)
        nothing_runs(machine)
        expect("havipd" in machine.run("getent", "passwd", "havipd"), "no user havipd")
        failed = machine.ask("systemctl", "list-units", "--failed", "--no-legend", "--plain")
        expect(not failed, f"failed units: {failed}")
    return "user havipd, unit disabled and inactive, 3 machines"


def example(lab):
    """the installed example is refused; the unit does not restart on it"""
    machine = lab.machines["a"]
    checked = machine.run("havipd", "--check-config", check=False)
    expect(checked.returncode == 78 and "still the example" in checked.stdout, f"exit {checked.returncode}: {checked.stdout}")
    started = machine.run("systemctl", "start", "havipd", check=False)
    expect(started.returncode != 0, "it starts")
    shown = machine.ask("systemctl", "show", "--property=NRestarts,ExecMainStatus,ActiveState", "havipd").split()
    expect(sorted(shown) == ["ActiveState=failed", "ExecMainStatus=78", "NRestarts=0"], f"{shown}")
    machine.run("systemctl", "reset-failed", "havipd")
    return "exit 78, no restart"


def unit(lab):
    """the installed unit: verify and security, as this systemd sees it"""
    machine = lab.machines["a"]
    said = machine.run("systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/havipd.service").strip()
    expect(not said, said)
    table = machine.run("systemd-analyze", "security", "--no-pager", "--threshold=20", "havipd.service")
    return table.strip().splitlines()[-1].split(":")[-1].strip()


def enabled(lab):
    """systemctl enable --now on all: one is active"""
    for machine in lab.machines.values():
        machine.configure(KEY)
        machine.run("su", "-s", "/bin/sh", "havipd", "-c", "havipd --check-config")
        machine.run("systemctl", "enable", "--now", "havipd")
    lab.client = Client()
    return f"{lab.settle()} is active"


def killed(lab):
    """systemctl kill -s KILL of the active node: the other takes over; systemd starts it again"""
    pids = []

    def kill(machine):
        pids.append(machine.main_pid())
        machine.run("systemctl", "kill", "--signal=KILL", "havipd")
    cause, gap, machine = lab.moved(kill, both=True)
    # What systemd runs after an unclean exit tells the others: nobody waits for the dead time.
    expect(cause == "peer-left" and gap < DEAD_TIME, f"it moved for {cause}, gap {gap * 1000:.0f} ms")
    expect(machine.main_pid() not in (*pids, "0"), "systemd did not start it again")
    return f"{cause}, gap {gap * 1000:.0f} ms; back as backup"


def power_cut(lab):
    """power cut of the active machine: the other takes over"""
    cause, gap, dead = lab.moved(lambda machine: machine.cut_power())
    expect(cause == "peer-dead", f"it moved for {cause}")
    dead.boot()
    lab.settle()
    return f"{cause}, gap {gap * 1000:.0f} ms (dead time {DEAD_TIME * 1000:.0f} ms); back as backup"


def rebooted(lab):
    """reboot of the active machine: handed over before the network goes"""
    cause, gap, machine = lab.moved(lambda machine: machine.reboot(), both=True)
    expect_handover(cause, gap)
    text = machine.run("journalctl", "--no-pager", "--boot=-1", "--output=cat", "UNIT=havipd.service",
                       "UNIT=networking.service")
    ends = [line for line in text.splitlines() if line.startswith(("Stopped havipd", "Stopping networking"))]
    expect([line.split()[0] for line in ends[-2:]] == ["Stopped", "Stopping"], f"order at shutdown: {ends}")
    lab.settle()
    return f"{cause}, gap {gap * 1000:.0f} ms, stopped before networking.service"


def powered_off(lab):
    """orderly power-off of the active machine: handed over"""
    def off(machine):
        machine.run("systemctl", "poweroff", check=False)
        machine.process.wait(timeout=90)
    cause, gap, machine = lab.moved(off)
    expect_handover(cause, gap)
    machine.boot()
    lab.settle()
    return f"{cause}, gap {gap * 1000:.0f} ms"


def stopped(lab):
    """systemctl stop of the active node: handed over"""
    cause, gap, machine = lab.moved(lambda machine: machine.run("systemctl", "stop", "havipd"))
    expect_handover(cause, gap)
    machine.run("systemctl", "start", "havipd")
    lab.settle()
    return f"{cause}, gap {gap * 1000:.0f} ms"


def restarted(lab):
    """systemctl restart of the active node: nothing moves"""
    return lab.unmoved(lab.pair()[0], lambda machine: machine.run("systemctl", "restart", "havipd"))


def upgraded_active(lab):
    """deb: upgrade of the active node: nothing moves"""
    return lab.unmoved(lab.pair()[0], lambda machine: install(machine, "deb", 2))


def upgraded_backup(lab):
    """deb: upgrade of a backup: nothing moves"""
    return lab.unmoved(lab.pair()[1], lambda machine: install(machine, "deb", 2))


def downgraded(lab):
    """deb: downgrade of the active node: nothing moves"""
    return lab.unmoved(lab.pair()[0], lambda machine: install(machine, "deb", 1))


def handover_on_restart(lab):
    """restart with on-restart = "handover": handed over first"""
    for machine in lab.machines.values():
        text = (machine.tree / "etc/havipd/havipd.toml").read_text()
        machine.write("/etc/havipd/havipd.toml", text.replace("preempt = false", 'preempt = false\non-restart = "handover"'))
        machine.run("systemctl", "reload", "havipd")
    cause, gap, _ = lab.moved(lambda machine: machine.run("systemctl", "restart", "havipd"), both=True)
    expect_handover(cause, gap)
    for machine in lab.machines.values():
        machine.configure(KEY)
        machine.run("systemctl", "reload", "havipd")
    lab.settle()
    return f"{cause}, gap {gap * 1000:.0f} ms"


def checked(machine):
    """The checks of a machine by name, as its daemon has them."""
    status = json.loads(machine.ask("havipctl", "--json", "status"))["data"]
    return {check["name"]: check for check in status["effects"]["checks"]}


def sees(machine, name, state, text):
    """Waits until a check is so, and says that."""
    def look():
        check = checked(machine)[name]
        last = (check["last"] or {}).get("text", "")
        expect(check["state"] == state and text in last, f"{name} of {machine.name} is {check['state']}: {last}")
    wait(f"{name} of {machine.name} is {state}", 30, look)


def units(lab):
    """checks of units: stopped, killed, failing and missing ones are noticed, and the group moves"""
    machines = [lab.machines["a"], lab.machines["b"]]
    # One of them is asked in an hour: what it knows before the kernel has told.
    told = 'unit = "app.service"\ninterval = "1h"\nfall = 1\nrise = 1\nweight = 1\n'
    checks = {"app": 'unit = "app.service"\n', "told": told, "app-pid": 'pidfile = "/run/app.pid"\n',
              "nowhere": 'unit = "nowhere.service"\ninitial = "up"\n', "hidden": 'process = "app"\ninitial = "up"\n'}
    for machine in machines:
        machine.write("/etc/systemd/system/app.service", "[Service]\n"
                      "ExecStart=/bin/sh -c 'echo $$$$ >/run/app.pid; exec sleep infinity'\n")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "app")
        machine.configure(KEY)
        text = (machine.tree / "etc/havipd/havipd.toml").read_text()
        text = text.replace("preempt = false", f"preempt = false\nchecks = {json.dumps(list(checks))}")
        text += "".join(f'[[check]]\nname = "{name}"\n{keys}' for name, keys in checks.items())
        machine.write("/etc/havipd/havipd.toml", text)
        machine.run("systemctl", "reload", "havipd")
        sees(machine, "app", "up", "app.service is active (running)")
        sees(machine, "told", "up", "app.service is active (running)")
        sees(machine, "app-pid", "up", "lives")
        # What cannot be looked at is named, and decides nothing.
        sees(machine, "nowhere", "up", "there is no unit nowhere.service")
        sees(machine, "hidden", "up", "hides its processes")
        shown = machine.run("havipctl", "status")
        expect("nowhere" in shown and "there is no unit nowhere.service" in shown, shown)
    gaps = []
    for deed, seen in ((("stop", "app"), "inactive (dead)"), (("kill", "--signal=KILL", "app"), "failed (failed)")):
        active, backup = lab.pair()
        start = len(lab.client.sent)
        active.run("systemctl", *deed)
        wait("the other node is active", 30, lambda: lab.moved_to(backup))
        sees(active, "app", "down", f"app.service is {seen}")
        sees(active, "told", "down", f"app.service is {seen}")
        sees(active, "app-pid", "down", "does not run")
        expect(active.group()["cause"] == "check-failed", f"{active.group()}")
        lab.client.serves()
        gaps.append(lab.client.gap(start))
        active.run("systemctl", "start", "app")
        sees(active, "app", "up", "app.service is active (running)")
        lab.settle()
    expect(max(gaps) < DEAD_TIME / 2, f"gaps {gaps}")
    # It does not come up again, and then its file is gone.
    active, backup = lab.pair()
    active.write("/etc/systemd/system/app.service", "[Service]\nExecStart=/bin/false\n")
    active.run("systemctl", "daemon-reload")
    active.run("systemctl", "restart", "app")
    wait("the other node is active", 30, lambda: lab.moved_to(backup))
    sees(active, "app", "down", "app.service is failed (failed)")
    (active.tree / "etc/systemd/system/app.service").unlink()
    active.run("systemctl", "reset-failed", "app")
    active.run("systemctl", "daemon-reload")
    sees(active, "app", "down", "there is no unit app.service")
    for machine in machines:
        machine.configure(KEY)
        machine.run("systemctl", "reload", "havipd")
    lab.settle()
    return f"gaps {', '.join(f'{gap * 1000:.0f} ms' for gap in gaps)}"


def left_behind(machine, directories):
    names = machine.run("find", *directories, "-xdev", "-path", "/packages", "-prune", "-o", "(", "-name", "*havip*",
                        ")", "-print").split()
    return sorted(names)


def purged(lab):
    """deb: purge of the active node: handed over, nothing left"""
    kept = []

    def purge(machine):
        machine.run("dpkg", "--remove", "havipd")
        kept.extend(name for name in ("havipd.toml", "heartbeat.key") if (machine.tree / "etc/havipd" / name).exists())
        machine.run("dpkg", "--purge", "havipd")
    cause, gap, machine = lab.moved(purge)
    expect_handover(cause, gap)
    expect(kept == ["havipd.toml", "heartbeat.key"], f"remove without purge kept {kept}")
    left = left_behind(machine, ["/", "/run"])
    expect(not left, f"left behind: {left}")
    said = machine.ask("systemctl", "is-enabled", "havipd")
    expect("enabled" not in said and "masked" not in said, said)
    return f"{cause}, gap {gap * 1000:.0f} ms; no file left, but the locked user"


def rpm_live(lab):
    """rpm beside deb: installed, nothing enabled; enabled, switched to"""
    machine = next(m for m in (lab.machines["a"], lab.machines["b"]) if not (m.tree / "usr/bin/havipd").exists())
    install(machine, "rpm", 1)
    nothing_runs(machine)
    machine.configure(KEY)
    machine.run("systemctl", "enable", "--now", "havipd")
    active, backup = lab.pair()
    expect(backup is machine, f"{active.name} became active by itself")
    start = len(lab.client.sent)
    active.run("havipctl", "switchover", "web", "--to", machine.name)
    wait("it is active", 30, lambda: lab.moved_to(machine))
    lab.settle()
    return f"switchover, gap {lab.client.gap(start) * 1000:.0f} ms"


def rpm_machine(lab):
    # Where it is not installed the answer names it as well.
    found = next((m for m in (lab.machines["a"], lab.machines["b"]) if (m.tree / "var/lib/rpm").exists()
                  and any(line.startswith("havipd-") for line in m.ask("rpm", "--query", "havipd").splitlines())), None)
    expect(found is not None, "no machine has the rpm")
    return found


def rpm_upgraded(lab):
    """rpm: upgrade and downgrade of the active node: nothing moves"""
    machine = rpm_machine(lab)
    expect(lab.pair()[0] is machine, "the machine with the rpm is not active")
    up = lab.unmoved(machine, lambda m: install(m, "rpm", 2))
    lab.unmoved(machine, lambda m: install(m, "rpm", 1))
    return up


def rpm_erased(lab):
    """rpm: erased on the active node: handed over, disabled"""
    cause, gap, machine = lab.moved(lambda m: m.run("rpm", "--force-debian", "--erase", "havipd"))
    expect_handover(cause, gap)
    left = left_behind(machine, ["/usr", "/etc/systemd"])
    expect(not left, f"left behind: {left}")
    return f"{cause}, gap {gap * 1000:.0f} ms"


CASES = [installation, example, unit, enabled, killed, power_cut, rebooted, powered_off, stopped, restarted,
         upgraded_active, upgraded_backup, downgraded, handover_on_restart, units, *evidence.CASES, purged, rpm_live,
         rpm_upgraded, rpm_erased]
# Without these no other case can begin.
FIRST = [installation, enabled]
