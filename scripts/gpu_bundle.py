#!/usr/bin/env python3
"""Makes the folder that is carried to a GPU machine (docs/cuda.md): programs, the libraries they need beside glibc, fixtures, run.sh.

usage: gpu_bundle.py --out FOLDER [--libraries FOLDER] PROGRAM...     (the build target gpu_bundle calls it)

    bin/    the programs, stripped                  peers/     Python scripts that measure torch beside us
    lib/    every shared library but glibc's        fixtures/  the part of the source tree that the programs read
    run.sh  what to start there; --help explains

Fails if the folder is larger than 48 MiB, if a file needs a library that is neither there nor glibc's, or a glibc newer than 2.39.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
MOST_BYTES = 48 << 20
NEWEST_GLIBC = (2, 39)
GLIBC = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2"}
FIXTURES = ["models/configs", "models/datasets", "docs/examples"]
SCRIPTS = {"scripts/gpu_run.sh": "run.sh", "scripts/gpu_report.py": "report.py", "bench/peers/gpu_compare.py": "peers/gpu_compare.py"}


def output_of(*command, **environment):
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment}).stdout


def needed(path):
    """Names of the shared libraries that a file asks for itself."""
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", output_of("readelf", "-d", path)))


def newest_glibc(path):
    """The newest glibc whose symbols a file asks for; versions that it defines itself stand elsewhere."""
    found = re.findall(r"Name: GLIBC_(\d+)\.(\d+)", output_of("readelf", "-V", path))
    return max(((int(major), int(minor)) for major, minor in found), default=(0, 0))


def places(path, folder):
    """Where the dynamic linker of this machine finds what the program and its libraries need; it also looks into `folder`."""
    return dict(re.findall(r"^\s*(\S+) => (/\S+)", output_of("ldd", path, LD_LIBRARY_PATH=str(folder)), re.MULTILINE))


def copy_stripped(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["strip", "-o", target, source], check=True)
    target.chmod(0o755)


def copy_fixtures(out):
    """Of the source tree, what git knows: no run folders, no caches."""
    for folder in FIXTURES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file():
                target = out / "fixtures" / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def problems(out):
    """What would keep the bundle from running there."""
    libraries = {path.name for path in (out / "lib").iterdir()}
    for path in sorted([*(out / "bin").iterdir(), *(out / "lib").iterdir()]):
        for name in sorted(needed(path) - libraries - GLIBC):
            yield f"{path.name} needs {name}, which is not in the bundle"
        if (newest := newest_glibc(path)) > NEWEST_GLIBC:
            yield f"{path.name} needs glibc {newest[0]}.{newest[1]}, more than {NEWEST_GLIBC[0]}.{NEWEST_GLIBC[1]}"
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{size / 2**20:.1f} MiB, the limit is {MOST_BYTES >> 20}")
    if size > MOST_BYTES:
        for path in sorted((p for p in out.rglob("*") if p.is_file()), key=lambda p: -p.stat().st_size)[:10]:
            print(f"  {path.stat().st_size / 2**20:6.1f} MiB  {path.relative_to(out)}")
        yield "the bundle is too large"


def make(out, programs, libraries):
    shutil.rmtree(out, ignore_errors=True)
    (out / "lib").mkdir(parents=True)
    for program in programs:
        copy_stripped(program, out / "bin" / program.name)
        for name, place in places(program, libraries).items():
            if name not in GLIBC and not (out / "lib" / name).exists():
                copy_stripped(place, out / "lib" / name)
    copy_fixtures(out)
    for source, target in SCRIPTS.items():
        (out / target).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / source, out / target)
    revision = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    (out / "revision").write_text((revision or "unknown") + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--libraries", type=pathlib.Path, default="", help="where the CUDA runtime lies")
    parser.add_argument("programs", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    make(args.out, args.programs, args.libraries)
    found = list(problems(args.out))
    for problem in found:
        print(f"gpu_bundle: {problem}", file=sys.stderr)
    if not found:
        print(f"{args.out}: {len(args.programs)} programs; scripts/gpu_check says how to run it")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
