"""Makes the Debian package of a wheel: a virtual environment in /usr/lib/allium with what the lock file says.

`make deb` calls it. The package is for the Debian whose Python it is made with, because some of the packages are built
for one version of Python.
"""

from __future__ import annotations

import argparse
import compileall
import py_compile
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
#: Where it will be.
HOME = Path("/usr/lib/allium")
PYTHON = Path("/usr/bin/python3")
EXTRAS = {"files", "messenger", "portal", "push"}


def needed(distribution: metadata.Distribution, extras: set[str]) -> set[str]:
    """The names of what `distribution` needs with its `extras`, of what is installed here."""
    found: dict[str, set[str]] = {}

    def add(requirements: list[str] | None, extras: set[str]) -> None:
        for requirement in map(Requirement, requirements or []):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                name, wanted = canonicalize_name(requirement.name), {"", *requirement.extras}
                if not wanted <= found.setdefault(name, set()):
                    found[name] |= wanted
                    # It is not installed here, as a rule, and may name its own extras.
                    add(distribution.requires if name == own else metadata.requires(name), found[name])

    own = canonicalize_name(distribution.name)
    add(distribution.requires, {"", *extras})
    return set(found) - {own}


def locked(names: set[str], lock: str) -> str:
    """The entries of a lock file that have these names."""
    entries = re.split(r"^(?=\S)", lock, flags=re.M)
    return "".join(entry for entry in entries if canonicalize_name(re.split(r"[=\[ ;]", entry)[0]) in names)


def run(*command: str | Path) -> str:
    """What a command says; it has to succeed."""
    return subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def environment(stage: Path, wheel: Path, lock: Path) -> None:
    """The virtual environment, below `stage`."""
    home = stage / HOME.relative_to("/")
    run(PYTHON, "-m", "venv", "--without-pip", home)
    [information] = [entry for entry in zipfile.Path(wheel).iterdir() if entry.name.endswith(".dist-info")]
    names = needed(metadata.PathDistribution(information), EXTRAS)
    requirements = stage.with_name("requirements.txt")
    requirements.write_text(locked(names, lock.read_text()))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", home / "bin" / "python")
    options = ("install", "--quiet", "--no-compile", "--no-deps")
    run(*pip, *options, "--require-hashes", "-r", requirements)
    run(*pip, *options, wheel)
    for program in (home / "bin").iterdir():
        if not program.name.startswith("python"):
            program.unlink()
    command = home / "bin" / "allium"
    command.write_text(f"#!{HOME}/bin/python\nimport sys\n\nfrom allium.__main__ import main\n\nsys.exit(main())\n")
    command.chmod(0o755)
    settings = home / "pyvenv.cfg"
    settings.write_text(re.sub(r"^command = .*\n", "", settings.read_text(), flags=re.M))
    # The service may not write there. Times differ where it is unpacked, so it is the content that counts.
    compileall.compile_dir(
        home, quiet=1, stripdir=stage, prependdir="/", invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )


def main() -> None:
    """Writes `allium_VERSION_ARCHITECTURE.deb` into the directory of the wheel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--lock", type=Path, default=HERE.parent / "requirements.lock")
    parser.add_argument("--stage", type=Path, default=HERE.parent / "build" / "deb" / "root")
    options = parser.parse_args()
    wheel, stage = options.wheel.absolute(), options.stage.absolute()
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    environment(stage, wheel, options.lock)
    version = run(PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    architecture = run("dpkg", "--print-architecture").strip()
    release = wheel.name.split("-")[1]
    for source, target, mode in (
        ("allium.service", "usr/lib/systemd/system/allium.service", 0o644),
        ("allium-files.service", "usr/lib/systemd/system/allium-files.service", 0o644),
        ("allium-push.service", "usr/lib/systemd/system/allium-push.service", 0o644),
        ("allium.sysusers", "usr/lib/sysusers.d/allium.conf", 0o644),
        ("copyright", "usr/share/doc/allium/copyright", 0o644),
        ("conffiles", "DEBIAN/conffiles", 0o644),
        ("postinst", "DEBIAN/postinst", 0o755),
        ("prerm", "DEBIAN/prerm", 0o755),
        ("postrm", "DEBIAN/postrm", 0o755),
    ):
        path = stage / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / source, path)
        path.chmod(mode)
    (stage / "usr/bin").mkdir()
    (stage / "usr/bin/allium").symlink_to(HOME / "bin" / "allium")
    from allium.settings.config import commented_toml

    settings = stage / "etc/allium/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(commented_toml(data_dir="/var/lib/allium", oxend_rpc="ipc:///var/lib/oxen/oxend.sock"))
    from allium.files import settings as file_settings

    of_files = settings.with_name(file_settings.FILE_NAME)
    of_files.write_text(file_settings.commented_toml(data_dir="/var/lib/allium/files"))
    from allium.push import settings as push_settings

    of_push = settings.with_name(push_settings.FILE_NAME)
    of_push.write_text(
        push_settings.commented_toml(data_dir="/var/lib/allium/push", oxend_rpc="ipc:///var/lib/oxen/oxend.sock")
    )
    size = sum(path.lstat().st_size for path in stage.rglob("*")) // 1024
    (major, minor) = version.split(".")
    (stage / "DEBIAN/control").write_text(
        f"""Package: allium
Version: {release}
Architecture: {architecture}
Maintainer: Allium maintainers <maintainers@allium.invalid>
Section: net
Priority: optional
Installed-Size: {size}
Depends: python3 (>= {version}), python3 (<< {major}.{int(minor) + 1}), libc6, libstdc++6, passwd
Description: Session Network node
 A node of the Session Network: its data plane, which opens onion layers and stores messages, and its control plane,
 which knows the network. It takes the place of the reference's storage server, or runs networks of its own.
 A file server for attachments and profile pictures, and a push server that wakes phones and browsers, are beside it.
"""
    )
    package = wheel.parent / f"allium_{release}_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zzstd", "--build", stage, package)
    print(package)


if __name__ == "__main__":
    main()
