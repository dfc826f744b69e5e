"""What a node says of itself where systemd runs it: the journal, a support archive, the doctor's metrics."""

import base64
import contextlib
import json
import re
import tarfile
import time
import urllib.parse

from lab import credentials, expect, wait

CONFIG = "/etc/havipd/havipd.toml"
# A hook that tells the whole journal what it should not, and fails.
TELL = """#!/bin/sh
cat /etc/havipd/heartbeat.key /etc/havipd/credentials.toml
echo
base64 -w0 /etc/havipd/credentials.toml
echo
exit 1
"""
PRIORITIES = {"ERROR": "3", "WARN": "4", "INFO": "6", "DEBUG": "7", "TRACE": "7"}


def entries(machine):
    """The daemon's own lines in the journal: priority and text."""
    lines = machine.run("journalctl", "--no-pager", "--output=json", "--quiet", "_SYSTEMD_UNIT=havipd.service",
                        "_COMM=havipd").splitlines()
    return [(entry["PRIORITY"], entry["MESSAGE"]) for entry in map(json.loads, lines)]


def appears(machine, what, fits):
    """Waits for a line of the journal, and returns it."""
    def look():
        found = [text for priority, text in entries(machine) if fits(priority, text)]
        expect(found, "not in the journal")
        return found[-1]
    return wait(what, 30, look)


def level(text):
    """Which level a line itself gives."""
    return json.loads(text)["level"] if text.startswith("{") else text.split()[0]


@contextlib.contextmanager
def telling(lab):
    """The backup, restarted with that hook, which has run; afterwards it is as before."""
    machine = lab.pair()[1]
    text = (machine.tree / CONFIG.lstrip("/")).read_text()
    machine.write("/usr/local/sbin/tell", TELL, 0o755)
    machine.write(CONFIG, text + '[group.hooks]\nnotify = ["/usr/local/sbin/tell"]\n')
    try:
        machine.run("systemctl", "restart", "havipd")
        appears(machine, "the hook fails", lambda _, line: "hook failed" in line)
        yield machine
    finally:
        machine.write(CONFIG, text)
        machine.run("systemctl", "restart", "havipd")
    lab.settle()


def priorities(lab):
    """journald: errors, warnings, information and debug lines have their priorities, as text and as JSON"""
    with telling(lab) as machine:
        text = (machine.tree / CONFIG.lstrip("/")).read_text()
        for form, begin in (("text", "ERROR"), ("json", "{")):
            machine.write(CONFIG, text + f'[log]\nformat = "{form}"\n')
            machine.run("systemctl", "reload", "havipd")
            machine.run("havipctl", "log-level", "debug")
            appears(machine, f"a debug line as {form}",
                    lambda priority, line: priority == "7" and (form == "json") == line.startswith("{"))
            machine.write(CONFIG, text + "broken\n")
            machine.run("systemctl", "reload", "havipd")
            appears(machine, f"an error as {form}",
                    lambda priority, line: priority == "3" and line.startswith(begin) and "reload refused" in line)
            machine.write(CONFIG, text)
        seen = entries(machine)
        wrong = [entry for entry in seen if PRIORITIES.get(level(entry[1])) != entry[0]]
        expect(not wrong, f"{len(wrong)} of {len(seen)}: {wrong[:3]}")
        counts = {priority: sum(found == priority for found, _ in seen) for priority in "3467"}
        expect(all(counts.values()), f"{counts}")
        # As an operator asks.
        said = machine.run("journalctl", "--no-pager", "--unit=havipd", "--priority=err", "--output=cat")
        expect("reload refused" in said and "hook" not in said, said[-500:])
    return ", ".join(f"{count} of {priority}" for priority, count in counts.items())


def spellings(secret):
    """Ways to write bytes down, wherever in a longer text they stand."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), urllib.parse.quote(secret, safe="").encode()}
    for text in (secret, secret.hex().encode()):
        for skip in range(3):
            whole = base64.b64encode(bytes(skip) + text)
            # Without the digits that depend on what stands before and behind.
            inner = whole[(0, 2, 3)[skip]:(skip + len(text)) * 8 // 6]
            found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def archive(machine, path, *who):
    """Has `who` make one; what that said, and the files in it. None of the node's secrets may be in it."""
    said = machine.run(*who, "havipctl", "bundle", "--out", path)
    key = (machine.tree / "etc/havipd/heartbeat.key").read_text().strip()
    secrets = [bytes.fromhex(key), *(part.encode() for part in credentials(machine.name)[1:])]
    place = machine.tree / path.lstrip("/")
    whole = place.read_bytes()
    for secret in secrets:
        shown = [spelling for spelling in spellings(secret) if spelling in whole]
        expect(not shown, f"in the archive of {who or 'root'}: {shown}")
    with tarfile.open(place) as tar:
        files = {member.name.removeprefix("havipd-bundle/"): tar.extractfile(member).read().decode() for member in tar}
    return said, files, len(whole)


def bundle(lab):
    """havipctl bundle: journal, unit, status, history, doctor, no secret; one of the group hears what is missing"""
    with telling(lab) as machine:
        key = (machine.tree / "etc/havipd/heartbeat.key").read_text().strip()
        journal = "\n".join(text for _, text in entries(machine))
        told = [word for word in (key, *credentials(machine.name)[1:]) if word in journal]
        expect(len(told) == 3, f"the hook told only {len(told)} secrets")
        said, files, size = archive(machine, "/root/bundle.tar")
        # What this kernel does not have is nobody's fault.
        missing = [line for line in said.splitlines() if "without" in line and "without host-" not in line]
        expect(not missing, said)
        log, properties = files["log.txt"], files["unit.txt"].splitlines()
        for what in ("Started havipd.service", "hook says: [redacted]", "access-key = [redacted]", "hook failed"):
            expect(what in log, f"{what!r} is not in log.txt")
        for line in ("Id=havipd.service", "ActiveState=active", f"MainPID={machine.main_pid()}", "User=havipd"):
            expect(line in properties, f"{line} is not in {properties}")
        expect(not any(line.startswith("Environment") for line in properties), "an environment is in it")
        expect(json.loads(files["status.json"])["groups"][0]["role"] == "backup", "status.json")
        history = json.loads(machine.run("havipctl", "--json", "history"))
        kept = json.loads(files["history.json"])["entries"]
        expect(kept == history["data"]["entries"], f"history.json has {kept}, not {history}")
        ids = {finding["id"] for finding in json.loads(files["doctor.json"])["data"]["findings"]}
        expect({"cloud.credentials", "config.running", "daemon"} <= ids, f"doctor.json has {ids}")
        expect(files["why-web.txt"].strip() and 'name = "packages"' in files["havipd.toml"], "why-web.txt, havipd.toml")

        machine.run("useradd", "--no-create-home", "--groups", "havipd", "ops")
        said, files, _ = archive(machine, "/var/tmp/ops.tar", "runuser", "--user=ops", "--")
        wanted = {"status.json", "history.json", "doctor.json", "unit.txt", "README"}
        expect(wanted <= set(files), f"a member of the group lacks {wanted - set(files)}: {said}")
        line = next((line for line in said.splitlines() if "without log.txt" in line), "")
        expect("log.txt" not in files and "run it as root" in line, said)
        expect(line.removeprefix("havipctl: ") in files["README"], f"{line} is not in {files['README']}")
    return f"{len(log.splitlines())} lines of the journal, {size >> 10} KiB; a member: {line}"


def findings(machine):
    """What the metrics say that fails."""
    # There is no program for it in so small a machine.
    ask = (r'exec 3<>/dev/tcp/127.0.0.1/11201; printf "GET /metrics HTTP/1.1\r\n'
           r'Host: w\r\nConnection: close\r\n\r\n" >&3; cat <&3')
    page = machine.run("bash", "-c", ask)
    expect("havipd_doctor_last_look_timestamp_seconds " in page, "the doctor has not looked")
    return re.findall(r'^havipd_doctor_finding\{id="(.*)",level="failed"\} 1', page, re.M)


def doctor(lab):
    """the doctor's timer: what breaks, and that it is mended, is in the metrics without a restart"""
    # Nobody restarts the witness, so that its first look is over by now when every case is run.
    machine = lab.machines["w"]
    pid = machine.main_pid()

    def becomes(what, failing):
        def look():
            found = findings(machine)
            expect(("config.file" in found) == failing, f"what fails is {found}")
        begun = time.monotonic()
        wait(what, 120, look)
        return time.monotonic() - begun
    becomes("the first look", False)
    key = "/etc/havipd/heartbeat.key"
    try:
        machine.run("chmod", "0644", key)
        broken = becomes("a key that all can read is found", True)
    finally:
        machine.run("chmod", "0640", key)
    mended = becomes("it is found mended", False)
    expect(machine.main_pid() == pid, "the daemon was restarted")
    return f"seen {broken:.0f} s after it broke, {mended:.0f} s after it was mended"


CASES = [priorities, bundle, doctor]
