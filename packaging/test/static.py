"""What can be said of the packages without a machine."""

import re

from lab import BASE, PACKAGES, ROOT, WORK, expect, run


def package(pattern):
    found = sorted(PACKAGES.glob(pattern))
    expect(len(found) == 1, f"{pattern} in {PACKAGES}: {found}")
    return found[0]


def glibc():
    """the programs need no newer glibc than the packages say"""
    tree = WORK / "unpacked"
    run("dpkg-deb", "--extract", package("havipd_*-1_*.deb"), tree)
    run("dpkg-deb", "--extract", package("havipd-lab_*-1_*.deb"), tree)
    programs = [tree / "usr/bin" / name for name in ("havipd", "havipctl", "havipd-lab")]
    said = run(ROOT / "packaging/check-glibc", "2.31", *programs)
    return ", ".join(line.split(";")[0] for line in said.splitlines())


def lintian():
    """debs: lintian is content"""
    said = run("lintian", "--fail-on=error,warning", package("havipd_*-1_*.deb"), package("havipd-lab_*-1_*.deb"))
    tags = [line for line in said.splitlines() if not line.startswith("running with root privileges")]
    return ", ".join(tags) or "no error, no warning"


def rpmlint():
    """rpms: rpmlint is content"""
    said = run("rpmlint", "--config", ROOT / "packaging/lint/rpmlint.toml", package("havipd-[0-9]*-1.*.rpm"),
               package("havipd-lab-[0-9]*-1.*.rpm"))
    return said.strip().splitlines()[-1]


def man_pages():
    """man pages are formatted without a warning"""
    for page in sorted((ROOT / "packaging/man").glob("*.[58]")):
        said = run("man", "--warnings", "--local-file", "--troff", page, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
        warnings = [line for line in said.splitlines() if "warning" in line]
        expect(not warnings, f"{page.name}: {warnings[:3]}")
    return "4 pages"


def sbom():
    """both packages carry the bill of materials"""
    import json
    text = (WORK / "unpacked/usr/share/doc/havipd/havipd.cdx.json").read_text()
    bill = json.loads(text)
    names = {part["name"] for part in bill["components"]}
    locked = set(re.findall(r'^name = "(.*)"$', (ROOT / "Cargo.lock").read_text(), re.M))
    expect(bill["bomFormat"] == "CycloneDX" and {"tokio", "reqwest", "aws-lc-sys"} <= names, f"{len(names)} components")
    expect(names <= locked, f"not in Cargo.lock: {names - locked}")
    expect(str(ROOT) not in text, "it names a path of this machine")
    listed = run("rpm", "--query", "--list", "--package", package("havipd-[0-9]*-1.*.rpm"))
    expect("havipd.cdx.json" in listed, "not in the rpm")
    return f"{len(names)} components"


def laboratory():
    """havipd-lab: the program of the package runs"""
    # Here is no network for a sandbox.
    said = run(WORK / "unpacked/usr/bin/havipd-lab", "simulate", "--seed", "1", "--trace", "0")
    return said.strip().splitlines()[-1]


def rpm_root():
    """rpm --root: installed, verified, upgraded, erased; scriptlets run"""
    tree, dirs = WORK / "rpm/tree", [WORK / "rpm/upper", WORK / "rpm/work"]
    for directory in [tree, *dirs]:
        directory.mkdir(parents=True)
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={BASE},upperdir={dirs[0]},workdir={dirs[1]}", tree)
    rpm = ["rpm", "--root", tree, "--force-debian"]

    def install(revision):
        run(*rpm, "--nodeps", "-U", "--oldpackage", package(f"havipd-[0-9]*-{revision}.*.rpm"))
        said = run(*rpm, "--verify", "--nodeps", "havipd").strip()
        expect(not said, f"rpm -V: {said}")
    install(1)
    expect("havipd:" in (tree / "etc/passwd").read_text(), "%post made no user")
    links = [str(p) for p in (tree / "etc/systemd").rglob("havipd*")]
    expect(not links, f"enabled: {links}")
    with open(tree / "etc/havipd/havipd.toml", "a") as file:
        file.write("# edited\n")
    run(*rpm, "--nodeps", "-U", package("havipd-[0-9]*-2.*.rpm"))
    expect((tree / "etc/havipd/havipd.toml").read_text().endswith("# edited\n"), "the upgrade lost the edited file")
    run(*rpm, "--erase", "havipd")
    expect((tree / "etc/havipd/havipd.toml.rpmsave").exists(), "erased with the edited file")
    left = [str(p) for p in (tree / "usr").rglob("*havip*")]
    expect(not left, f"left behind: {left}")
    run("umount", tree)
    return "installed, -V clean, edited file kept, erased"


CASES = [glibc, lintian, rpmlint, man_pages, sbom, laboratory, rpm_root]
