"""Machines, the network between them, the emulated cloud outside, and a client that measures."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target/packaging/test"
BASE = ROOT / "target/packaging/debian"
# What packaging/test/run has built.
PACKAGES = Path(os.environ["HAVIPD_PACKAGES"])
PREFIX = "10.88.0."
CLOUD = PREFIX + "1"
PORT = 8089
HAVIP = "havip-packages"
ADDRESS = PREFIX + "100"
# Silence after which a node is dead: interval x dead-multiplier of the configuration below.
DEAD_TIME = 3.0


class Failed(Exception):
    """A case is not as it should be; the text says how it is."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def wait(what, seconds, look):
    """What `look` returns once it raises nothing; after `seconds`, what it raised last."""
    end = time.monotonic() + seconds
    while True:
        try:
            return look()
        except (Failed, OSError, ValueError, KeyError) as why:
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {seconds} s: {why}") from why
        time.sleep(0.05)


def run(*command, check=True, **more):
    """A program on this host; its output as text."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stdout.strip()}")
    return done if not check else done.stdout


def cgroups():
    """Where a machine's control groups can be made: the unified tree, and systemd's where the host has both."""
    trees = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd")]
    found = [tree for tree in trees if (tree / "cgroup.procs").exists()]
    return [tree / "havipd-packages" for tree in found or [Path("/sys/fs/cgroup")]]


def forget_cgroups():
    for top in cgroups():
        for directory, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                pass  # Somebody else's process is in it; the next run tries again.


def credentials(name):
    """Id, secret and session token of a node's access key, with signs that encodings change."""
    return f"ak-{name}", f"Secret/key+of~{name}", f"T0ken/of+{name}=="


class Machine:
    """One booted Debian, with its own systemd, tree and network."""

    def __init__(self, name, number):
        self.name, self.address = name, f"{PREFIX}{10 + number}"
        self.dir = WORK / name
        self.tree = self.dir / "tree"
        self.process = None
        for part in ("upper", "work", "tree"):
            (self.dir / part).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={BASE},upperdir={self.dir}/upper,workdir={self.dir}/work", str(self.tree))
        self.write("/etc/hostname", f"{name}\n")
        self.write("/etc/machine-id", f"{number:032x}\n")
        self.write("/etc/network/interfaces",
                   "auto lo\niface lo inet loopback\n"
                   f"auto host0\niface host0 inet static\n    address {self.address}/24\n    gateway {CLOUD}\n")
        # The journal survives a reboot, so that it can be asked who stopped when.
        (self.tree / "var/log/journal").mkdir(parents=True, exist_ok=True)
        (self.tree / "packages").mkdir()
        for package in PACKAGES.glob("havipd*"):
            shutil.copy(package, self.tree / "packages")

    def write(self, path, text, mode=0o644):
        place = self.tree / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def boot(self):
        enter = "".join(f"mkdir -p {top}/{self.name} && echo 0 >{top}/{self.name}/cgroup.procs && " for top in cgroups())
        command = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--link-journal=no",
                   "--console=pipe", f"--machine=havipd-{self.name}", "--network-bridge=cloud",
                   f"--directory={self.tree}"]
        with open(self.dir / "console.log", "ab") as log:
            self.process = subprocess.Popen(["sh", "-c", enter + 'exec "$@"', "sh", *command], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log,
                                            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        self.wait_up()

    def wait_up(self):
        def up():
            if self.process.poll() is not None:
                raise Failed(f"systemd-nspawn ended: {(self.dir / 'console.log').read_text()[-500:]}")
            state = self.ask("systemctl", "is-system-running")
            if state not in ("running", "degraded"):
                raise Failed(f"is {state!r}")
        wait(f"{self.name} boots", 60, up)

    def leader(self):
        """The process that is PID 1 of the machine."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return int(child)
        raise Failed(f"{self.name} has no init")

    def run(self, *command, check=True):
        return run("nsenter", "--all", f"--target={self.leader()}", "--wd=/", "--", *command, check=check)

    def ask(self, *command):
        """What it prints, whatever its exit code."""
        return self.run(*command, check=False).stdout.strip()

    def cut_power(self):
        os.kill(self.leader(), signal.SIGKILL)
        self.process.wait(timeout=30)

    def reboot(self):
        """systemd-nspawn ends with 133 when its machine wants to be started again."""
        self.run("systemctl", "reboot", check=False)
        code = self.process.wait(timeout=90)
        if code != 133:
            raise Failed(f"{self.name} went down with {code} instead of for a reboot")
        self.boot()

    def off(self):
        if self.process and self.process.poll() is None:
            try:
                self.cut_power()
            except (Failed, OSError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()

    def main_pid(self):
        return self.ask("systemctl", "show", "--property=MainPID", "--value", "havipd")

    def group(self):
        status = json.loads(self.ask("havipctl", "--json", "status"))["data"]
        return status["groups"][0] | {"peers": status["peers"], "uptime_ms": status["uptime_ms"]}

    def configure(self, key):
        """What an operator does after the installation."""
        nodes = "".join(
            f'[[node]]\nname = "{name}"\naddress = "{PREFIX}{10 + n}"\n'
            + ("witness = true\n" if name == "w" else f'instance = "i-{name}"\n')
            for n, name in enumerate("abw", 1))
        self.write("/etc/havipd/havipd.toml", f"""[cluster]
name = "packages"
{nodes}[heartbeat]
interval = "300ms"
dead-multiplier = 10
cold-start-wait = "5s"
keys = [{{ id = 1, file = "heartbeat.key" }}]
[cloud]
region = "bj"
endpoint = "http://{CLOUD}:{PORT}"
metadata-endpoint = "http://{CLOUD}:{PORT}"
audit-interval = "1s"
[cloud.credentials]
source = "file"
file = "credentials.toml"
[daemon]
doctor-interval = "1m"
[[group]]
name = "web"
preempt = false
max-moves = 0
[[group.havip]]
id = "{HAVIP}"
address = "{ADDRESS}"
""")
        access, secret, token = credentials(self.name)
        secrets = {"heartbeat.key": key,
                   "credentials.toml": f'access-key-id = "{access}"\nsecret-access-key = "{secret}"\n'
                                       f'session-token = "{token}"\n'}
        for name, text in secrets.items():
            self.write(f"/etc/havipd/{name}", text, 0o640)
            self.run("chown", "root:havipd", f"/etc/havipd/{name}")


class Cloud:
    """The bridge, and the emulated cloud at its address."""

    def __init__(self):
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "cloud", "type", "bridge")
        run("ip", "address", "add", f"{CLOUD}/24", "dev", "cloud")
        run("ip", "link", "set", "cloud", "up")
        route = json.dumps([str(ROOT / "packaging/test/route"), PREFIX])
        text = f'listen = "{CLOUD}:{PORT}"\nprofile = "attach-moves"\non-change = {route}\n'
        text += f'[[world.havips]]\nid = "{HAVIP}"\naddress = "{ADDRESS}"\n'
        for n, name in enumerate("ab", 1):
            address = f"{PREFIX}{10 + n}"
            text += f'[[world.instances]]\nid = "i-{name}"\naddress = "{address}"\n'
            access, secret, token = credentials(name)
            text += f'[[keys]]\naccess-key = "{access}"\nsecret-key = "{secret}"\nsession-token = "{token}"\n'
            text += f'node = "{name}"\n'
            text += f'[[nodes]]\nname = "{name}"\ninstance = "i-{name}"\naddresses = ["{address}"]\n'
        (WORK / "cloud.toml").write_text(text)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        log = open(WORK / "cloud.log", "wb")
        self.process = subprocess.Popen([target / "debug/havipd-lab", "emulator", WORK / "cloud.toml"], stderr=log,
                                        stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline():
            raise Failed(f"the emulated cloud does not start: {(WORK / 'cloud.log').read_text()}")

    def get(self, what):
        with urllib.request.urlopen(f"http://{CLOUD}:{PORT}/_emulator/{what}", timeout=5) as answer:
            return json.load(answer)

    def holder(self):
        """The machine that the cloud names, and packets go to; it alone is bound."""
        havip = self.get("state")["havips"][0]
        bound = [target["id"] for target in havip["bound"]]
        if havip["master"] is None or bound != [havip["master"]] or havip["traffic"] != havip["master"]:
            raise Failed(f"the cloud has {havip}")
        return havip["master"].removeprefix("i-")

    def writes(self):
        """How many calls so far would change bindings."""
        return sum(call["operation"] in ("attach", "detach") for call in self.get("calls?since=0"))

    def off(self):
        self.process.terminate()
        self.process.wait()


class Client:
    """An echo request to the HAVIP every few milliseconds, and when the answered ones were sent."""

    PACE = 0.005

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.settimeout(0.2)
        self.sent, self.answered, self.done = [], [], False
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        while not self.done:
            number = len(self.sent)
            self.sent.append(time.monotonic())
            self.answered.append(False)
            head = struct.pack("!BBHHH", 8, 0, 0, 0x4856, number & 0xFFFF) + struct.pack("!I", number)
            total = sum(struct.unpack(f"!{len(head) // 2}H", head))
            total = (total >> 16) + (total & 0xFFFF)
            check = ~(total + (total >> 16)) & 0xFFFF
            try:
                self.socket.sendto(head[:2] + struct.pack("!H", check) + head[4:], (ADDRESS, 0))
            except OSError:
                pass  # No route is as good as no answer.
            time.sleep(self.PACE)

    def receive(self):
        while not self.done:
            try:
                packet, (sender, _) = self.socket.recvfrom(256)
            except OSError:
                continue
            echo = packet[(packet[0] & 15) * 4:]
            if sender == ADDRESS and len(echo) >= 12 and echo[0] == 0 and echo[4:6] == b"\x48\x56":
                number = struct.unpack("!I", echo[8:12])[0]
                if number < len(self.answered):
                    self.answered[number] = True

    def serves(self):
        """Waits until an echo request sent from now on is answered."""
        start = len(self.sent)

        def look():
            if not any(self.answered[start:]):
                raise Failed("no answer")
        wait(f"{ADDRESS} answers", 30, look)

    def gap(self, since):
        """Longest time, in seconds, between answered requests with unanswered ones between, since number `since`."""
        longest, last, missing = 0.0, None, False
        for at, answered in list(zip(self.sent, self.answered))[since:]:
            if not answered:
                missing = True
                continue
            if missing and last is not None:
                longest = max(longest, at - last)
            last, missing = at, False
        return longest

    def off(self):
        self.done = True
        for thread in self.threads:
            thread.join()
